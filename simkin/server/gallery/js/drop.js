/** Files dropped anywhere, pasted or chosen become questions. */

import { toast } from "./announce.js";
import { h } from "./dom.js";
import { params, question } from "./question.js";
import { go } from "./router.js";
import { keep, modalityOf } from "./uploads.js";

export function listenForFiles() {
  const overlay = /** @type {HTMLElement} */ (document.getElementById("drop"));
  const input = h("input", { type: "file", accept: "image/*,audio/*", hidden: true, id: "file" });
  document.body.append(input);
  document.getElementById("choose-file")?.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    ask(input.files?.[0]);
    input.value = "";
  });
  let depth = 0;
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  const over = (change) => {
    depth = Math.max(0, depth + change);
    overlay.hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => hasFile(event) && over(1));
  document.addEventListener("dragleave", (event) => hasFile(event) && over(-1));
  document.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    overlay.hidden = true;
    ask(event.dataTransfer?.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) ask(file);
  });
}

/** @param {File | undefined} file */
async function ask(file) {
  if (!file) return;
  if (!modalityOf(file)) {
    toast(`${file.name || "That"} is neither a picture nor a sound.`);
    return;
  }
  go("ask", params(question({ file: await keep(file) })));
}
