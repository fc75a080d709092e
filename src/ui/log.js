"use strict";
// Shows a log as it comes, as text and nothing else; the newest lines of it.
const MOST = 2000;
const lines = document.getElementById("lines"), state = document.getElementById("state");
const path = location.pathname.split("/");
path[2] = "follow";
let waiting = [];

function show() {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
  const added = document.createDocumentFragment();
  for (const line of waiting.slice(-MOST)) {
    const row = document.createElement("div");
    row.textContent = line || "\u00a0";
    added.append(row);
  }
  waiting = [];
  lines.append(added);
  while (lines.childElementCount > MOST) lines.firstElementChild.remove();
  if (atEnd) scrollTo(0, document.documentElement.scrollHeight);
}

function add(text) {
  if (waiting.length === 0) setTimeout(show, 50);
  waiting.push(text);
  if (waiting.length > 2 * MOST) waiting = waiting.slice(-MOST);
}

async function follow() {
  state.textContent = "asking…";
  const answer = await fetch(path.join("/"), { cache: "no-store" });
  if (!answer.ok) {
    state.textContent = await answer.text();
    return;
  }
  state.textContent = "followed: lines come as they are written";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const all = (rest + value).split("\n");
    rest = all.pop();
    all.forEach(add);
  }
  if (rest) add(rest);
  state.textContent = "ended; load the page again to go on";
}

follow().catch(() => { state.textContent = "the connection ended; load the page again to go on"; });
