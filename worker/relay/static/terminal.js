// A terminal of this lab's Jupyter. What it prints is data for the screen: nothing of it becomes markup.
(() => {
  "use strict";

  const { base, nonce } = document.documentElement.dataset;
  const state = document.getElementById("state");
  const screen = document.getElementById("screen");
  const LONGEST_MS = 10000;

  // xterm writes style sheets of its own; the page's policy wants to see its nonce on them.
  const create = document.createElement.bind(document);
  document.createElement = (name, ...rest) => {
    const made = create(name, ...rest);
    if (String(name).toLowerCase() === "style") made.nonce = nonce;
    return made;
  };

  // And it gives single characters their colours by style attributes, which the policy refuses; the style's own object it allows.
  const set = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () =>
    dark.matches
      ? { background: "#10161f", foreground: "#dce1e7", cursor: "#5aa9f0", selectionBackground: "#2f4a68" }
      : { background: "#ffffff", foreground: "#182433", cursor: "#066fd1", selectionBackground: "#b9d7f5" };
  const terminal = new Terminal({
    theme: theme(),
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace",
    fontSize: innerWidth < 700 ? 12 : 14,
    minimumContrastRatio: 4.5,
    scrollback: 5000,
  });
  const fit = new FitAddon.FitAddon();
  terminal.loadAddon(fit);
  terminal.open(screen);
  dark.addEventListener("change", () => (terminal.options.theme = theme()));

  let socket = null;
  let ended = false;
  let wait = 500;

  const say = (words, tone = "") => {
    state.textContent = words;
    state.dataset.tone = tone;
  };
  const send = (...message) => {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };
  const size = () => {
    fit.fit();
    send("set_size", terminal.rows, terminal.cols, screen.clientHeight, screen.clientWidth);
  };
  const name = () => (/^#([a-z0-9_]{1,40})$/.exec(location.hash) || [])[1] || "web1";
  const list = async () => {
    const answer = await fetch(`${base}api/terminals`, { cache: "no-store" });
    if (!answer.ok) throw answer;
    return (await answer.json()).map((one) => one.name);
  };

  const away = (problem) => {
    const status = problem instanceof Response ? problem.status : 0;
    if (status === 403 || status === 410) {
      say(status === 403 ? "Your visit has ended. Open the terminal from the lab's page again." : "This lab has ended. Your files are kept.", "bad");
      return;
    }
    say(status === 503 ? "The lab does not answer yet. Trying again…" : "The connection broke. Trying again…", "bad");
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, LONGEST_MS);
  };

  const heard = (message) => {
    if (message[0] === "stdout") terminal.write(message[1]);
    if (message[0] === "disconnect") {
      ended = true;
      say("This shell has ended. Press Enter for a new one.");
    }
  };

  async function connect() {
    const wanted = name();
    ended = false;
    try {
      if (!(await list()).includes(wanted)) {
        const made = await fetch(`${base}api/terminals`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: wanted }) });
        if (!made.ok) throw made;
      }
    } catch (problem) {
      away(problem);
      return;
    }
    const mine = new WebSocket(`${location.origin.replace(/^http/, "ws")}${base}terminals/websocket/${wanted}`);
    socket = mine;
    mine.onopen = () => {
      wait = 500;
      terminal.reset(); // the lab says again what was on the screen
      say(`Connected: ${wanted}`);
      document.documentElement.dataset.connected = wanted;
      size();
      terminal.focus();
    };
    mine.onmessage = (event) => heard(JSON.parse(event.data));
    mine.onclose = () => {
      if (mine !== socket) return;
      delete document.documentElement.dataset.connected;
      if (!ended) away(null);
    };
  }

  const again = () => {
    const before = socket;
    socket = null;
    before?.close();
    connect();
  };

  terminal.onData((data) => {
    if (ended && data === "\r") again();
    else send("stdin", data);
  });
  new ResizeObserver(size).observe(screen);
  addEventListener("hashchange", again);
  addEventListener("online", () => socket?.readyState === WebSocket.OPEN || again());
  document.querySelectorAll("[data-keys]").forEach((button) =>
    button.addEventListener("click", () => {
      send("stdin", button.dataset.keys);
      terminal.focus();
    }),
  );
  document.getElementById("more").addEventListener("click", async () => {
    try {
      const taken = new Set(await list());
      let number = 1;
      while (taken.has(`web${number}`)) number += 1;
      location.hash = `web${number}`;
    } catch (problem) {
      away(problem);
    }
  });
  connect();
})();
