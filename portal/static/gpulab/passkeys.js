// What went wrong with a passkey, in words, beside the button.
"use strict";
(() => {
  const WORDS = {
    NotAllowedError: "That was cancelled, or took too long. Try again, or use another way.",
    InvalidStateError: "This passkey is on your account already.",
    NotSupportedError: "This browser or key cannot do that. Another browser or key may.",
    SecurityError: "Passkeys work at this GPU Lab's own address only. Look at the address bar.",
  };
  document.addEventListener("allauth.error", (event) => {
    event.preventDefault();
    const place = document.querySelector("[data-passkey-error]");
    const error = event.detail.exception || {};
    place.lastElementChild.textContent = WORDS[error.name] || "The passkey could not be used. Try again, or use another way.";
    place.hidden = false;
  });
})();
