import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import express from "express";
import session from "express-session";
import { logIn, nameOf, signUp } from "./accounts.js";
import { contentSecurityPolicy, presence, readers } from "./presence.js";

const { PORT = "3000", SESSION_SECRET = randomBytes(32).toString("hex") } = process.env;

const documents = {
  report: {
    title: "The report",
    text: "Open it as somebody else, in a private window: you will see each other above.",
  },
  minutes: { title: "Minutes", text: "Nobody was missing." },
};

// Their names; in the lobby is whoever is in any of them.
const rooms = new Map(Object.entries(documents).map(([id, { title }]) => [`doc:${id}`, title]));
rooms.set("lobby", "Any of them");

const app = express();
app.set("view engine", "ejs");
app.set("views", folder("views"));
app.use(express.static(folder("public")));
app.use(contentSecurityPolicy);
app.use(
  session({
    secret: SESSION_SECRET,
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: "lax" },
  }),
);
// Every document is for everybody here: others would ask who may read this one.
app.use("/presence", presence((user, room) => rooms.has(room)));
app.use(express.urlencoded());
app.use((request, response, next) => {
  response.locals.user = request.session.user;
  next();
});

function folder(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

function onlyUsers(request, response, next) {
  if (request.session.user) next();
  else response.redirect("/log-in");
}

// A new session for a new user, so that none is planted.
function enter(request, response, next, { id, name }) {
  request.session.regenerate((error) => {
    if (error) return next(error);
    request.session.user = { id, name };
    response.redirect("/");
  });
}

function form(path, title, find, problem) {
  app.get(path, (request, response) => response.render("enter", { title, problem: "" }));
  app.post(path, async (request, response, next) => {
    const { name, password } = request.body;
    const account = await find(name, password);
    if (account) enter(request, response, next, account);
    else response.status(400).render("enter", { title, problem });
  });
}

form("/sign-up", "Sign up", signUp, "This name is taken, or something is missing.");
form("/log-in", "Log in", logIn, "Wrong name or password.");
app.post("/log-out", (request, response) => {
  request.session.destroy(() => response.redirect("/log-in"));
});

app.get("/", onlyUsers, (request, response) => response.render("index", { documents }));
app.get("/documents/:id", onlyUsers, (request, response) => {
  const { id } = request.params;
  if (!Object.hasOwn(documents, id)) return response.sendStatus(404);
  response.render("document", { room: `doc:${id}`, document: documents[id] });
});

// From what our backend was told, for whatever a backend does with it.
app.get("/readers", onlyUsers, (request, response) => {
  const rows = readers().map(({ room, user, since }) => ({
    title: rooms.get(room) ?? room,
    name: nameOf(user),
    since: new Date(since * 1000).toISOString(),
  }));
  response.render("readers", { rows });
});

const server = app.listen(Number(PORT), "localhost", (error) => {
  if (error) throw error;
  console.log(`Documents on http://localhost:${server.address().port}`);
});
