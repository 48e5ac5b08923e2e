// What the pages do beyond HTML: the theme's menu, copying, dialogs, times in the reader's zone. Everything works without it.
(() => {
  "use strict";

  const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);

  const span = (seconds) => {
    const minutes = Math.floor(Math.max(seconds, 0) / 60);
    if (minutes < 1) return "less than a minute";
    const days = Math.floor(minutes / 1440);
    const hours = Math.floor((minutes % 1440) / 60);
    const words = days ? [[days, "d"], [hours, "h"]] : [[hours, "h"], [minutes % 60, "min"]];
    return words.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
  };

  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

  const hours = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const clock = new Intl.DateTimeFormat(undefined, hours);
  const clockAndDay = new Intl.DateTimeFormat(undefined, { weekday: "short", ...hours });
  const clockAndDate = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", ...hours });

  // A clock alone for today, with the day for this week, else with the date.
  const clockWords = (at) => {
    if (at.toDateString() === new Date().toDateString()) return clock.format(at);
    return (Math.abs(at - Date.now()) < 6 * 864e5 ? clockAndDay : clockAndDate).format(at);
  };

  const tick = (root) => {
    const now = Date.now();
    each(root, "time[data-left]", (time) => {
      time.textContent = `${span((Date.parse(time.dateTime) - now) / 1000)} left`;
    });
    each(root, "time[data-ago]", (time) => {
      time.textContent = `${span((now - Date.parse(time.dateTime)) / 1000)} ago`;
      time.title = local.format(new Date(time.dateTime));
    });
  };

  const localise = (root) => {
    each(root, "time[data-local]", (time) => {
      time.textContent = local.format(new Date(time.dateTime));
    });
    each(root, "time[data-clock]", (time) => {
      time.textContent = clockWords(new Date(time.dateTime));
    });
    tick(root);
  };

  const mark = () => {
    const wish = window.gpulabTheme.wish();
    each(document, "[data-theme-set]", (button) => {
      button.setAttribute("aria-pressed", String(button.dataset.themeSet === wish));
    });
  };

  const copy = async (button) => {
    const source = document.getElementById(button.dataset.copy);
    const text = source.value ?? source.textContent.trim();
    const words = button.querySelector("span");
    const before = (button.dataset.words ??= words.textContent); // a second click finds "Copied" there
    try {
      await navigator.clipboard.writeText(text);
      words.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      words.textContent = "Selected: press Ctrl+C";
    }
    setTimeout(() => (words.textContent = before), 2500);
  };

  const step = (button) => {
    const input = document.getElementById(button.dataset.step);
    const before = input.value;
    if (Number(button.dataset.by) < 0) input.stepDown();
    else input.stepUp();
    if (input.value !== before) input.dispatchEvent(new Event("change", { bubbles: true }));
  };

  // A slider and its number are one value.
  const pair = (input) => {
    const other = input.dataset.pair && document.getElementById(input.dataset.pair);
    if (other && other.value !== input.value) other.value = input.value;
  };

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest(selector);
    const theme = at("[data-theme-set]");
    if (theme) {
      window.gpulabTheme.set(theme.dataset.themeSet);
      mark();
    }
    const copied = at("[data-copy]");
    if (copied) copy(copied);
    const opener = at("[data-dialog]");
    if (opener) {
      event.preventDefault();
      document.getElementById(opener.dataset.dialog).showModal();
    }
    const closer = at("[data-close]");
    if (closer) closer.closest("dialog, .toast-line").close?.() ?? closer.closest(".toast-line")?.remove();
    const stepper = at("[data-step]");
    if (stepper) step(stepper);
    const dialog = event.target.nodeName === "DIALOG" ? event.target : null;
    if (dialog) dialog.close();
    // A menu closes when one clicks elsewhere.
    each(document, "details.menu[open]", (menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    each(document, "details.menu[open]", (menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  document.addEventListener("input", (event) => pair(event.target));

  // What cannot be undone is asked once more. Without this script the form goes at once.
  const confirmed = new WeakSet();
  const ask = (form) => {
    const dialog = document.getElementById("confirm");
    const yes = document.getElementById("confirm-yes");
    const words = document.getElementById("confirm-words");
    words.textContent = form.dataset.confirm;
    yes.textContent = form.dataset.confirmYes;
    const answer = form.dataset.confirmAsk && document.createElement("input");
    if (answer) {
      answer.className = "form-control";
      answer.maxLength = 200;
      answer.placeholder = "Reason, shown to its owner";
      answer.setAttribute("aria-label", "Reason");
      words.append(answer);
    }
    yes.onclick = () => {
      if (answer) form.elements[form.dataset.confirmAsk].value = answer.value;
      confirmed.add(form);
      dialog.close();
      form.requestSubmit();
    };
    dialog.showModal();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.confirm || confirmed.delete(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    ask(form);
  });

  // A form goes once: a second click while the first is on its way does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || form.hasAttribute("data-again")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
    setTimeout(() => delete form.dataset.sent, 5000);
  });

  // A part in which somebody has opened something to fill in is not replaced under their hands.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const part = event.detail.elt;
    if (part.hasAttribute("data-hold") && part.querySelector("details[open]")) event.preventDefault();
  });

  addEventListener("pageshow", () => each(document, "form[data-sent]", (form) => delete form.dataset.sent));
  document.addEventListener("htmx:afterSwap", (event) => localise(event.target.parentElement ?? document));
  each(document, ".sections [aria-current]", (part) => {
    part.parentElement.scrollLeft = part.offsetLeft - part.parentElement.clientWidth / 2;
  });
  // What went well need not be closed by hand.
  setTimeout(() => each(document, ".toast-line.success, .toast-line.info", (line) => line.remove()), 10000);
  setInterval(() => tick(document), 15000);
  localise(document);
  mark();
})();
