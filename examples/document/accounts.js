// Accounts in memory: yours are in your database.

import { randomBytes, randomUUID, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";

const hash = promisify(scrypt);
const accounts = new Map(); // by name

export async function signUp(name, password) {
  if (!name || !password || accounts.has(name)) return null;
  const account = { id: randomUUID(), name, salt: randomBytes(16) };
  accounts.set(name, account);
  account.hash = await hash(password, account.salt, 32);
  return account;
}

export async function logIn(name, password) {
  const account = accounts.get(name);
  if (!account?.hash || !password) return null;
  const given = await hash(password, account.salt, 32);
  return timingSafeEqual(given, account.hash) ? account : null;
}

export function nameOf(id) {
  for (const account of accounts.values()) if (account.id === id) return account.name;
  return id;
}
