// Uploads with resume, the progress of files from the web, and times in the reader's zone. All else works without it.
(() => {
  "use strict";

  const CHUNK = 64 * 1024 * 1024;
  const DELAYS = [0, 1000, 3000, 5000, 10000, 20000];
  const here = document.getElementById("here");
  const lines = document.getElementById("uploads");
  const path = here ? decodeURIComponent(here.dataset.path) : "";
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" });

  const localise = (root) => {
    root.querySelectorAll("time[datetime]").forEach((time) => {
      time.textContent = format.format(new Date(time.dateTime));
    });
  };

  const make = (name, words = "", kind = "") => {
    const made = document.createElement(name);
    made.textContent = words;
    if (kind) made.className = kind;
    return made;
  };

  const button = (words, act, kind = "btn small") => {
    const made = make("button", words, kind);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };

  const size = (count) => {
    let unit = 0;
    while (count >= 1024 && unit < 4) {
      count /= 1024;
      unit += 1;
    }
    return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
  };

  const page = async (address) => new DOMParser().parseFromString(await (await fetch(address)).text(), "text/html");

  // The listing as the server writes it now.
  const refresh = async () => {
    const found = (await page(location.href)).getElementById("listing");
    if (!found) return;
    document.getElementById("listing").replaceWith(found);
    localise(found);
  };

  // What the server said of a refusal, else what is known of the way there.
  const words = (error) => {
    const answer = error.originalResponse;
    if (answer) {
      try {
        return JSON.parse(answer.getBody()).message;
      } catch {
        return `The server answered ${answer.getStatus()}. Try again in a minute.`;
      }
    }
    return "The connection is lost. Resume when it is back: what is there stays there.";
  };

  // Asks what becomes of a file of the same name, in the line of the upload.
  const ask = (file, line, status, buttons) =>
    new Promise((answered) => {
      status.textContent = `There is ${file.name} already.`;
      line.classList.add("asks");
      const choose = (mode) => () => {
        line.classList.remove("asks");
        buttons.replaceChildren();
        answered(mode);
      };
      buttons.replaceChildren(
        button("Replace it", choose("replace")),
        button("Keep both", choose("keep"), "btn small primary"),
        button("Do not upload", choose("")),
      );
      buttons.lastChild.previousSibling.focus();
    });

  const taken = async (name) => {
    const asked = await fetch(`api/there?path=${encodeURIComponent(path ? `${path}/${name}` : name)}`, { headers: { Accept: "application/json" } });
    return asked.ok && (await asked.json()).kind !== null;
  };

  const send = async (file) => {
    const line = make("div", "", "line");
    const status = make("span", "waiting", "dim");
    const bar = make("progress");
    const buttons = make("span", "", "tools");
    bar.max = file.size || 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `How much of ${file.name} is there`);
    line.append(make("strong", file.name), status, bar, buttons);
    lines.append(line);
    let mode = "ask";
    try {
      if (await taken(file.name)) mode = await ask(file, line, status, buttons);
    } catch {
      mode = "ask";
    }
    if (!mode) {
      line.remove();
      return;
    }
    const done = (text, kind) => {
      status.textContent = text;
      line.classList.add(kind);
      buttons.replaceChildren(button("Dismiss", () => line.remove()));
    };
    const upload = new tus.Upload(file, {
      endpoint: new URL("upload", location.href.split(/[?#]/)[0]).href,
      chunkSize: CHUNK,
      retryDelays: DELAYS,
      storeFingerprintForResuming: true,
      removeFingerprintOnSuccess: true,
      metadata: { filename: file.name, path, mode },
      fingerprint: async (one) => ["gpulab", location.pathname, path, one.name, one.size, one.lastModified].join(":"),
      onShouldRetry: (error) => !error.originalResponse || [423, 500, 502, 503].includes(error.originalResponse.getStatus()),
      onProgress: (sent, total) => {
        bar.value = sent;
        status.textContent = `${size(sent)} of ${size(total)}`;
      },
      onError: (error) => {
        status.textContent = words(error);
        line.classList.add("failed");
        buttons.replaceChildren(button("Resume", resume), button("Cancel", cancel));
      },
      onSuccess: async (payload) => {
        const at = payload?.lastResponse?.getHeader("X-GPULab-Path");
        const name = at ? decodeURIComponent(at).split("/").pop() : file.name;
        bar.value = bar.max;
        done(name === file.name ? `${size(file.size)}, uploaded` : `uploaded as ${name}`, "done");
        await refresh();
      },
    });
    const pausing = () => buttons.replaceChildren(button("Pause", pause), button("Cancel", cancel));
    const pause = async () => {
      await upload.abort();
      status.textContent = `paused at ${size(bar.value)} of ${size(file.size)}`;
      buttons.replaceChildren(button("Resume", resume), button("Cancel", cancel));
    };
    const resume = () => {
      line.classList.remove("failed");
      pausing();
      upload.start();
    };
    const cancel = async () => {
      await upload.abort(Boolean(upload.url)).catch(() => {});
      line.remove();
    };
    const before = await upload.findPreviousUploads();
    if (before.length) upload.resumeFromPreviousUpload(before[0]);
    pausing();
    upload.start();
  };

  const picking = () => {
    const pick = document.getElementById("pick");
    if (!pick || !window.tus) return;
    pick.hidden = false;
    const input = pick.querySelector("input");
    pick.tabIndex = 0;
    pick.setAttribute("role", "button");
    pick.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") input.click();
    });
    input.addEventListener("change", () => {
      [...input.files].forEach(send);
      input.value = "";
    });
    let depth = 0;
    const over = (by) => {
      depth = Math.max(depth + by, 0);
      document.body.classList.toggle("dropping", depth > 0);
    };
    addEventListener("dragenter", (event) => event.dataTransfer.types.includes("Files") && over(1));
    addEventListener("dragleave", () => over(-1));
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      over(0);
      [...event.dataTransfer.files].forEach(send);
    });
    addEventListener("beforeunload", (event) => {
      if (lines.querySelector(".line:not(.done):not(.failed)")) event.preventDefault();
    });
  };

  // Files from the web: asked for every second while one is under way.
  const following = () => {
    const box = document.getElementById("fetches");
    if (!box || !box.hasAttribute("data-live")) return;
    const look = async () => {
      const found = await page("fetches").catch(() => null);
      if (found) box.replaceChildren(...found.body.childNodes);
      if (!found || box.querySelector(".running")) setTimeout(look, 1000);
      else await refresh();
    };
    setTimeout(look, 500);
  };

  localise(document);
  picking();
  following();
})();
