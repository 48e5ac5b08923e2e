// One socket a page. The page says what it shows by <body data-live="gpus | home | queue | lab:<id>">; what it may hear,
// the server decides. What is heard becomes events on <body>:
//   gpulab:lab-<id>, gpulab:person-<id>, gpulab:person, gpulab:queue, gpulab:fleet   something changed: ask again (htmx)
//   gpulab:sample, gpulab:history, gpulab:usage, gpulab:usage-history                numbers for charts, in `detail`
// After a lost connection it connects again with a growing pause, says what it has seen, and lets the page ask again.
(() => {
  "use strict";

  const FIRST_PAUSE_MS = 500;
  const LONGEST_PAUSE_MS = 15000;
  const SIGNED_OUT = 4401;
  const NOT_FOUND = 4404;
  const RIGHTS_CHANGED = 4409;
  const NUMBERS = ["sample", "history", "usage", "usage-history"];

  const page = document.body.dataset.live;
  if (!page) return;

  const seen = new Map(); // node -> number of its last sample
  const topics = new Set(); // what changes were promised for
  let pause = FIRST_PAUSE_MS;
  let wasOpen = false;
  let silence = 0;
  let quietMs = 30000;

  const say = (name, detail) => document.body.dispatchEvent(new CustomEvent(`gpulab:${name}`, { detail }));

  const show = (state, words) => {
    document.querySelectorAll("[data-live-indicator]").forEach((dot) => {
      dot.hidden = false;
      dot.dataset.liveState = state;
      dot.textContent = words;
    });
  };

  const changed = (topic, message) => {
    say(topic.replaceAll(".", "-"), message);
    if (topic.startsWith("person.")) say("person", message);
  };

  const everything = () => topics.forEach((topic) => changed(topic, { topic, kind: "resync" }));

  const greet = (message) => {
    topics.clear();
    message.topics.filter((topic) => topic !== "gpus.*").forEach((topic) => topics.add(topic));
    quietMs = Math.max(15000, message.period_s * 5000);
    if (wasOpen) everything();
    wasOpen = true;
    pause = FIRST_PAUSE_MS;
    show("live", "Live");
  };

  // A sample that is older than what was seen is late, unless the server's numbers began again.
  const isNew = (message) => {
    const node = message.topic.slice("gpus.".length);
    const last = seen.get(node);
    if (message.kind === "sample" && last && message.seq <= last.seq && message.at <= last.at) return message.seq === last.seq && last.history;
    const at = message.kind === "history" ? message.at.at(-1) : message.at;
    seen.set(node, { seq: message.seq, at, history: message.kind === "history" });
    return true;
  };

  const heard = (message) => {
    if (message.topic === "live") {
      if (message.kind === "hello") greet(message);
      else everything();
    } else if (NUMBERS.includes(message.kind)) {
      if (!message.topic.startsWith("gpus.") || isNew(message)) say(message.kind, message);
    } else changed(message.topic, message);
  };

  const connect = () => {
    const address = new URL("/ws/live/", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.searchParams.set("page", page);
    const numbers = [...seen].map(([node, last]) => `${node}:${last.seq}`).join(",");
    if (numbers) address.searchParams.set("seen", numbers);
    const socket = new WebSocket(address);
    let greeted = false;

    // A link that died without a word (a laptop that slept) is noticed by its silence.
    const listen = () => {
      clearTimeout(silence);
      if (page === "gpus") silence = setTimeout(() => socket.close(), quietMs);
    };
    socket.addEventListener("open", listen);
    socket.addEventListener("message", (event) => {
      listen();
      greeted = true;
      heard(JSON.parse(event.data));
    });
    socket.addEventListener("close", (event) => {
      clearTimeout(silence);
      // A session that ended may have a successor (a new password): one more try tells.
      if (event.code === NOT_FOUND || (event.code === SIGNED_OUT && !greeted)) {
        show("lost", event.code === NOT_FOUND ? "Gone: load the page again" : "Signed out: load the page again");
        return;
      }
      show("lost", "Reconnecting…");
      const wait = event.code === RIGHTS_CHANGED ? 0 : pause * (0.5 + Math.random());
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      setTimeout(connect, wait);
    });
  };

  show("lost", "Connecting…");
  connect();
})();
