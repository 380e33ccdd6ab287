// Takes pictures of a program's screens: at two sizes, on a dark terminal and on a light one.
//
// node screens.mjs CHROMIUM FOLDER NAME KEYS COMMAND: what is on the screen once the keys are pressed (tmux's names, with
// commas), as pages and pictures in the folder.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const [chromium, folder, name, keys, command] = process.argv.slice(2);
const socket = `eyes-${process.pid}`;
const tmux = (...options) => execFileSync("tmux", ["-L", socket, "-f", "/dev/null", ...options], { encoding: "utf8" });

// The sixteen colours of two usual terminals, GNOME's own: of a dark ground and of a light one.
const GROUNDS = {
  dark: { ground: "#1d1d20", text: "#ffffff", colours: ["#1d1d20", "#ed333b", "#57e389", "#ff7800", "#62a0ea", "#c061cb", "#5bc8af", "#deddda"] },
  light: { ground: "#ffffff", text: "#1d1d20", colours: ["#1d1d20", "#c01c28", "#26a269", "#a2734c", "#12488b", "#a347ba", "#2aa1b3", "#cfcfcf"] },
};

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// A screen with its escape sequences, as HTML.
const html = (screen, { ground, text, colours }) => {
  let style = {};
  const spans = screen.split("\x1b[").map((part, at) => {
    let shown = part;
    if (at > 0) {
      const end = part.search(/[a-zA-Z]/);
      shown = part.slice(end + 1);
      const codes = part.slice(0, end).replaceAll(/38;5;([0-7])(?!\d)/g, "3$1").split(";");
      for (const code of codes.map(Number)) {
        if (code === 0) style = {};
        else if (code === 1) style.bold = true;
        else if (code === 2) style.dim = true;
        else if (code === 7) style.turned = true;
        else if (code >= 30 && code < 38) style.colour = colours[code - 30];
        else if (code === 39) delete style.colour;
      }
    }
    const colour = style.colour ?? text;
    const [front, back] = style.turned ? [ground, colour] : [colour, "transparent"];
    const weight = style.bold ? ";font-weight:bold" : "";
    const dim = style.dim ? ";opacity:.7" : "";
    return `<span style="color:${front};background:${back}${weight}${dim}">${escaped(shown)}</span>`;
  });
  return `<!doctype html><meta charset="utf-8"><style>body{margin:0;background:${ground}}pre{margin:0;padding:12px;width:max-content;font:14px/1.2 "DejaVu Sans Mono",monospace}</style><pre>${spans.join("")}</pre>`;
};

const browser = await puppeteer.launch({ executablePath: chromium, args: ["--no-sandbox", "--disable-gpu"] });
try {
  for (const [width, height] of [[80, 24], [200, 50]]) {
    tmux("new-session", "-d", "-x", `${width}`, "-y", `${height}`, command);
    const plain = () => tmux("capture-pane", "-p");
    for (let looks = 0; !/\d logins\/s/.test(plain()); looks += 1) {
      if (looks > 200) throw new Error(`the screen stays:\n${plain()}`);
      await setTimeout(100);
    }
    if (keys) tmux("send-keys", ...keys.split(","));
    // A picture at least twice a second.
    await setTimeout(1500);
    const screen = tmux("capture-pane", "-p", "-e").trimEnd();
    tmux("kill-server");
    for (const [kind, ground] of Object.entries(GROUNDS)) {
      const path = resolve(join(folder, `${name}-${width}x${height}-${kind}`));
      writeFileSync(`${path}.html`, html(screen, ground));
      const page = await browser.newPage();
      await page.goto(pathToFileURL(`${path}.html`).href);
      await (await page.$("pre")).screenshot({ path: `${path}.png` });
      await page.close();
    }
  }
} finally {
  await browser.close();
}
