// Draws one message: text, media, templates, buttons. Nothing a sender wrote becomes markup.

const REACTIONS = [
  ["❤", "love"], ["😆", "smile"], ["😮", "wow"], ["😢", "sad"], ["😠", "angry"], ["👍", "like"],
];
const TICKS = {
  sending: ["✓", "Sent"],
  delivered: ["✓✓", "Delivered"],
  seen: ["✓✓", "Seen"],
};

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function clock(at) {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** Returns the address if a browser may follow it, else undefined: senders choose these. */
function safe(address, schemes = ["http:", "https:"]) {
  try {
    const url = new URL(address, location.href);
    return schemes.includes(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

/** Draws the inside of one message's list item. `act` sends what the visitor does with it. */
export function drawMessage(said, { page, first, last, act }) {
  const mine = said.author === "visitor";
  const matter = element("div", { class: "matter" });
  if (said.reply_to) {
    const whose = said.reply_to.author === "visitor" ? "You" : page;
    matter.append(element("p", { class: "quoted" }, `${whose}: ${said.reply_to.text ?? "…"}`));
  }
  if (said.text) matter.append(element("div", { class: "bubble" }, said.text));
  const cards = said.attachments.map((attachment) => drawAttachment(attachment, said, act));
  matter.append(...cards);
  const line = element("div", { class: "line" }, matter);
  if (!mine) line.append(reactionMenu(said, act));
  const parts = [
    element("span", { class: "visually-hidden" }, mine ? "You:" : `${said.persona?.name ?? page}:`),
  ];
  if (said.persona && first) parts.push(persona(said.persona));
  parts.push(line);
  const reactions = [...new Set(Object.values(said.reactions))];
  if (reactions.length) {
    parts.push(element("span", { class: "reactions", role: "img", "aria-label": `Reactions: ${reactions.join(" ")}` }, reactions.join(" ")));
  }
  if (last || said.tick === "failing" || said.tick === "sending") parts.push(footnote(said, mine));
  return parts;
}

function persona({ name, picture }) {
  const address = safe(picture);
  return element("p", { class: "persona" },
    address ? element("img", { class: "avatar", src: address, alt: "", width: 20, height: 20 }) : null,
    name);
}

function footnote(said, mine) {
  const time = element("time", { datetime: new Date(said.at).toISOString() }, clock(said.at));
  if (!mine) return element("p", { class: "meta" }, time);
  if (said.tick === "failing") {
    return element("p", { class: "meta" }, time,
      element("span", { class: "tick failing" }, "Not delivered yet, trying again"));
  }
  const [mark, word] = TICKS[said.tick] ?? TICKS.sending;
  return element("p", { class: "meta" }, time,
    element("span", { class: `tick ${said.tick}`, "aria-hidden": "true" }, mark),
    element("span", {}, word));
}

function reactionMenu(said, act) {
  const menu = element("details", { class: "react" });
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 24 24");
  icon.setAttribute("aria-hidden", "true");
  icon.innerHTML = '<circle cx="12" cy="12" r="9"/><path d="M8.5 14.5c1 1.4 2.2 2 3.5 2s2.5-.6 3.5-2M9 9.5v.1M15 9.5v.1"/>';
  menu.append(element("summary", { title: "React" }, icon, element("span", { class: "visually-hidden" }, "React")));
  const chosen = said.reactions.visitor;
  menu.append(element("div", { class: "react-choices" }, ...REACTIONS.map(([emoji, reaction]) =>
    element("button", {
      type: "button",
      "aria-label": reaction,
      "aria-pressed": String(chosen === emoji),
      onclick: () => {
        menu.open = false;
        act({ reaction: chosen === emoji
          ? { action: "unreact", mid: said.mid }
          : { action: "react", mid: said.mid, reaction, emoji } });
      },
    }, emoji))));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (!menu.contains(event.relatedTarget)) menu.open = false;
  });
  return menu;
}

function drawAttachment(attachment, said, act) {
  const payload = attachment.payload ?? {};
  const address = safe(payload.url ?? attachment.url);
  switch (attachment.type) {
    case "template":
      return drawTemplate(payload, said, act);
    case "image":
      return address ? picture(address, { class: "picture", alt: "Picture" }) : note("Picture");
    case "video":
      return address ? element("video", { src: address, controls: true, preload: "metadata" }) : note("Video");
    case "audio":
      return address ? element("audio", { src: address, controls: true, preload: "metadata" }) : note("Audio");
    case "sticker":
      return note("Sticker");
    case "location": {
      const { lat, long } = payload.coordinates ?? {};
      return note(`Location ${lat ?? "?"}, ${long ?? "?"}`);
    }
    default:
      return address
        ? element("a", { class: "file", href: address, target: "_blank", rel: "noopener noreferrer" }, "📄", payload.title ?? attachment.title ?? "File")
        : note(attachment.type ?? "Attachment");
  }
}

function picture(address, attributes) {
  const drawn = element("img", {
    src: address,
    ...attributes,
    onerror: () => drawn.replaceWith(attributes.alt ? note("Picture that could not be loaded") : ""),
  });
  return drawn;
}

function note(text) {
  return element("div", { class: "bubble" }, text);
}

function drawTemplate(template, said, act) {
  switch (template.template_type) {
    case "button":
      return element("div", { class: "sheet" },
        element("div", { class: "sheet-words said-text" }, template.text),
        buttons(template.buttons, said, act));
    case "generic": {
      const cards = template.elements.map((each) => card(each, said, act));
      return cards.length === 1 ? cards[0]
        : element("div", { class: "carousel", tabindex: "0", role: "group", "aria-label": `${cards.length} cards` }, ...cards);
    }
    case "media": {
      const [each] = template.elements;
      const address = safe(each.url);
      return element("div", { class: "sheet" },
        address ? element("a", { class: "file", href: address, target: "_blank", rel: "noopener noreferrer" }, each.media_type === "video" ? "Video" : "Picture")
          : element("div", { class: "sheet-words" }, each.media_type === "video" ? "Video" : "Picture"),
        buttons(each.buttons, said, act));
    }
    default:
      return element("div", { class: "sheet" },
        element("div", { class: "sheet-words" }, element("strong", {}, titled(template.template_type))),
        element("details", {}, element("summary", {}, "Details"),
          element("pre", {}, JSON.stringify(template, null, 2))));
  }
}

function titled(name) {
  const words = String(name ?? "template").replaceAll("_", " ");
  return words[0].toUpperCase() + words.slice(1);
}

function card(each, said, act) {
  const image = safe(each.image_url);
  const target = safe(each.default_action?.url ?? each.item_url ?? "about:blank");
  const title = element("strong", {}, target
    ? element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, each.title)
    : each.title);
  return element("div", { class: "sheet" },
    image ? picture(image, { alt: "" }) : null,
    element("div", { class: "sheet-words" }, title, each.subtitle ? element("span", {}, each.subtitle) : null),
    buttons(each.buttons, said, act));
}

function buttons(list, said, act) {
  if (!list?.length) return null;
  return element("div", { class: "sheet-buttons" }, ...list.map((button) => drawButton(button, act)));
}

function drawButton(button, act) {
  switch (button.type) {
    case "web_url": {
      const address = safe(button.url);
      if (address) return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, button.title);
      break;
    }
    case "phone_number":
      return element("a", { href: `tel:${button.payload.replace(/[^+\d]/g, "")}` }, button.title);
    case "postback":
      return element("button", {
        type: "button",
        onclick: () => act({ postback: { title: button.title, payload: button.payload } }),
      }, button.title);
  }
  return element("button", { type: "button", disabled: true }, button.title ?? titled(button.type));
}
