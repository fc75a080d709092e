"use strict";
// Asks for the parts of this page again, and takes over those that changed: what is focused, marked or unfolded stays so.
const EVERY = 2000;
const parts = (root) => [...root.querySelectorAll("[data-part]")];
const names = (list) => list.map((part) => part.dataset.part).join("\n");
let last = new Map(parts(document).map((part) => [part.dataset.part, part.outerHTML]));
let asking = false;

function take(next) {
  const own = document.getElementById("parts"), theirs = next.body;
  const before = parts(own), after = parts(theirs);
  const said = new Map(after.map((part) => [part.dataset.part, part.outerHTML]));
  if (names(before) !== names(after)) {
    const open = own.querySelector("details[open]");
    own.replaceChildren(...theirs.childNodes);
    if (open) own.querySelector("details")?.setAttribute("open", "");
  } else {
    before.forEach((part, at) => {
      const name = part.dataset.part;
      const marked = getSelection();
      if (last.get(name) === said.get(name)) return;
      if (!marked.isCollapsed && marked.containsNode(part, true)) { said.set(name, last.get(name)); return; }
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      part.replaceWith(after[at]);
      if (focused) [...after[at].querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus({ preventScroll: true });
    });
  }
  last = said;
}

async function look() {
  if (asking || document.hidden) return;
  asking = true;
  const lost = document.getElementById("lost");
  try {
    const answer = await fetch("parts", { cache: "no-store" });
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    if (lost.textContent) lost.textContent = "";
  } catch {
    const words = "sandbox ui does not answer any more; this is what it said last.";
    if (lost.textContent !== words) lost.textContent = words;
  }
  asking = false;
}

// What is asked for when the page is made is there soon.
if (document.getElementById("parts").textContent.includes("asking…")) setTimeout(look, 400);
setInterval(look, EVERY);
document.addEventListener("visibilitychange", look);
