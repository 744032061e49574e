// The pages beside the list: their person is here, too.

import { stay } from "./users/stay.js";

stay();
