// Asks the daemon for something; what comes of it is seen in the state that it reports (F14).

import { refreshSoon } from "../link/realm.js";
import { post } from "../link/request.js";
import { texts } from "../texts.js";
import { toast } from "./toasts.js";

// `action` is one of the control endpoint: pause, resume, save, skip, stop.
export async function wish(action) {
  try {
    const { message } = await post("/api/daemon/control", { action });
    toast({ kind: "answer", text: message });
    refreshSoon();
  } catch (error) {
    toast({ kind: "trouble", text: texts.controls.failed(error.message) });
  }
}
