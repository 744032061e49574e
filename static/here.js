// The pages beside the list: their person is here, too.

import { stay } from "./users/stay.js";

const MOST = 500; // whom a page may be told of

const { me, room, bells } = stay(watch, true);
watch();

function watch() {
  room.watch([me, ...bells].slice(0, MOST));
}
