// The chat: shows a thread as it streams in, and sends what the visitor does as a webhook.

import { clock, drawMessage, element } from "./drawing.js";

const $ = (id) => document.getElementById(id);
const talk = $("talk");
const { pageId, psid, textLimit } = talk.dataset;
const log = $("log");
const scroller = $("scroller");
const textbox = $("text");
const note = $("composer-note");
const thread = `/control/pages/${encodeURIComponent(pageId)}/visitors/${encodeURIComponent(psid)}`;
const wide = matchMedia("(min-width: 62rem)");

const drawn = new Map();
let stream = null;
let typingTimer = null;
// Whether the newest message is in view, and is to stay there as more arrive.
let pinned = true;

function connect() {
  if (stream !== null) return;
  stream = new EventSource(`/chat/${encodeURIComponent(pageId)}/stream?visitor=${encodeURIComponent(psid)}`);
  let fresh = true;
  stream.onmessage = (event) => {
    const state = JSON.parse(event.data);
    if (fresh) $("traffic").replaceChildren();
    fresh = false;
    show(state);
  };
  stream.onerror = () => {
    fresh = true;
    announce("The sandbox does not answer. Trying again…");
  };
}

// A hidden tab is a closed chat: what arrives there is delivered, not read.
function follow() {
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else {
    connect();
  }
}

function keepEnd() {
  if (pinned) scroller.scrollTop = scroller.scrollHeight;
}

function show(state) {
  showMessages(state);
  showTyping(state.typing_ms);
  showChoices(state.messages.at(-1));
  showWindow(state);
  showTraffic(state.traffic);
  $("welcome").hidden = state.messages.length > 0;
  keepEnd();
}

function showMessages({ messages, page }) {
  const known = new Set(messages.map((said) => said.mid));
  for (const [mid, item] of drawn) {
    if (!known.has(mid)) {
      item.node.remove();
      drawn.delete(mid);
    }
  }
  let before = null;
  messages.forEach((said, index) => {
    const earlier = messages[index - 1];
    const later = messages[index + 1];
    const day = new Date(said.at).toDateString();
    const newDay = !earlier || new Date(earlier.at).toDateString() !== day;
    const first = newDay || earlier.author !== said.author || earlier.persona?.name !== said.persona?.name;
    const last = !later || later.author !== said.author || new Date(later.at).toDateString() !== day;
    const looks = JSON.stringify([said, first, last, newDay]);
    let item = drawn.get(said.mid);
    if (item?.looks !== looks) {
      const node = item?.node ?? element("li");
      node.className = `said ${said.author}${first ? " first" : ""}${last ? " last" : ""}`;
      const open = node.querySelector("details.react")?.open;
      node.replaceChildren(...drawMessage(said, { page, first, last, act }));
      if (open) node.querySelector("details.react").open = true;
      item = { node, looks };
      drawn.set(said.mid, item);
    }
    if (newDay) before = place(separator(day, said.at), before);
    before = place(item.node, before);
  });
  for (const node of [...log.querySelectorAll(".day")]) {
    if (node.dataset.stale) node.remove();
    node.dataset.stale = "yes";
  }
}

function separator(day, at) {
  const id = `day-${day.replaceAll(" ", "-")}`;
  const found = document.getElementById(id);
  const made = found ?? element("li", { class: "day", id },
    new Date(at).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" }));
  delete made.dataset.stale;
  return made;
}

/** Puts a node right after another, touching the document only when it is not there yet. */
function place(node, before) {
  const next = before === null ? log.firstChild : before.nextSibling;
  if (next !== node) log.insertBefore(node, next);
  return node;
}

function showTyping(remaining) {
  clearTimeout(typingTimer);
  $("typing").hidden = remaining <= 0;
  if (remaining > 0) typingTimer = setTimeout(() => { $("typing").hidden = true; }, remaining);
}

function showChoices(said) {
  const choices = said?.author === "page" ? said.quick_replies : [];
  const box = $("choices");
  box.hidden = choices.length === 0;
  box.replaceChildren(...choices.map((choice) => {
    const title = choice.title ?? (choice.content_type === "user_email" ? "Share my e-mail address" : "Share my phone number");
    const value = choice.title ? choice.payload : choice.content_type === "user_email" ? `${psid}@example.com` : "+441632960000";
    return element("button", {
      type: "button",
      onclick: () => act({ message: { text: choice.title ?? value, quick_reply: { payload: value } } }),
    }, choice.image_url ? element("img", { src: choice.image_url, alt: "" }) : null, title);
  }));
}

function showWindow({ window_ms: left, owner, subscribed }) {
  const pill = $("window");
  pill.hidden = left === null;
  if (left !== null) {
    pill.title = "The Page may write for 24 hours after the visitor's last action.";
    pill.classList.toggle("closed", left === 0);
    const roomy = (words) => element("span", { class: "roomy" }, words);
    const tight = (words) => element("span", { class: "tight" }, words);
    if (left === 0) pill.replaceChildren(roomy("Reply window "), "closed");
    else pill.replaceChildren(roomy("Can reply for "), span(left), tight(" left"));
  }
  if (!subscribed) announce("No app is connected to this Page yet: what you write reaches nobody.");
  else if (owner === "Page inbox") announce("People in the Page's own inbox have this conversation.");
  else announce("");
}

function span(milliseconds) {
  const minutes = Math.ceil(milliseconds / 60000);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
  return `${minutes} min`;
}

function announce(text) {
  const notice = $("notice");
  if (notice.textContent !== text) notice.textContent = text;
  notice.hidden = text === "";
}

const WEBHOOKS = {
  messages: "Message", message_echoes: "Echo of the answer", message_deliveries: "Delivered mark",
  message_reads: "Read mark", message_reactions: "Reaction", messaging_postbacks: "Button tapped",
  messaging_handovers: "Hand-over", standby: "Standby copy",
};
const CALLS = {
  messages: "Sends a message", typing_on: "Shows that it is typing", typing_off: "Stops typing",
  mark_seen: "Marks as seen", react: "Reacts", unreact: "Takes a reaction back", profile: "Reads the profile",
  page: "Reads the Page", subscribed_apps: "Sees to its subscription", debug_token: "Checks the token",
  conversations: "Looks up the conversation", attachments: "Uploads a file", personas: "Sees to personas",
  thread_control: "Sees to thread control",
};

function showTraffic(passed) {
  const list = $("traffic");
  for (const each of passed) list.prepend(trafficLine(each));
  while (list.children.length > 60) list.lastChild.remove();
  $("traffic-empty").hidden = list.children.length > 0;
}

function trafficLine(each) {
  const out = each.kind === "webhook";
  const what = out ? WEBHOOKS[each.what] ?? each.what : CALLS[each.action ?? each.call] ?? each.what;
  const good = each.status !== null && each.status < 300;
  const trail = [new Date(each.at).toLocaleTimeString(), out ? `webhook ${each.what}` : `${each.method} ${each.what}`];
  if (each.attempt > 1) trail.push(`attempt ${each.attempt}`);
  if (each.fault) trail.push(`fault: ${each.fault}`);
  const body = element("pre", { tabindex: "0" }, "…");
  const line = element("details", { ontoggle: () => line.open && unfold(each.n, body) },
    element("summary", {},
      element("span", { class: "arrow", role: "img", "aria-label": out ? "To your system:" : "From your system:" }, out ? "→" : "←"),
      element("span", { class: "what" }, what),
      element("span", { class: good ? "status" : "status bad" }, each.status === null ? "no answer" : String(each.status)),
      element("span", { class: "when" }, trail.join(" · "))),
    body);
  return element("li", { class: out ? "out" : "in" }, line);
}

async function unfold(number, body) {
  const { data: [entry] } = await (await fetch(`/control/journal?after=${number - 1}&limit=1`)).json();
  if (entry?.n !== number) {
    body.textContent = "The journal does not reach back that far.";
    return;
  }
  const signature = entry.headers["x-hub-signature-256"];
  body.textContent = [
    `${entry.method} ${entry.path}`,
    ...(signature ? [`X-Hub-Signature-256: ${signature}`] : []),
    "",
    entry.json === undefined ? entry.body : JSON.stringify(entry.json, null, 2),
  ].join("\n").trim();
}

async function act(item) {
  say("");
  try {
    const answer = await fetch(`${thread}/messages`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(item),
    });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    say("That could not be sent. Is the sandbox still running?", { bad: true });
  }
}

function say(text, { bad = false } = {}) {
  note.textContent = text;
  note.classList.toggle("bad", bad);
}

function grow() {
  textbox.style.height = "auto";
  textbox.style.height = `${textbox.scrollHeight + 2}px`;
  const left = Number(textLimit) - textbox.value.length;
  say(left <= 200 ? `${left} characters left` : "");
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = textbox.value.trim();
  if (text === "") {
    textbox.focus();
    return;
  }
  textbox.value = "";
  grow();
  pinned = true;
  act({ text });
  textbox.focus();
});

textbox.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
textbox.addEventListener("input", grow);

$("file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (!file) return;
  say(`Sending ${file.name}…`);
  const address = `/chat/${encodeURIComponent(pageId)}/media?name=${encodeURIComponent(file.name)}`;
  try {
    const headers = { "Content-Type": file.type || "application/octet-stream" };
    const answer = await fetch(address, { method: "POST", headers, body: file });
    if (answer.status === 413) {
      say("That file is too large: pictures may have 8 MB, other files 25 MB.", { bad: true });
      return;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const { type, url } = await answer.json();
    await act({ message: { attachments: [{ type, payload: { url } }] } });
  } catch {
    say("That file could not be sent.", { bad: true });
  }
});

function arrange() {
  $("scenes").open = wide.matches;
}

scroller.addEventListener("scroll", () => {
  pinned = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 60;
});
log.addEventListener("load", keepEnd, { capture: true });
new ResizeObserver(keepEnd).observe(scroller);
wide.addEventListener("change", arrange);
document.addEventListener("visibilitychange", follow);
arrange();
follow();
if (wide.matches) textbox.focus();
