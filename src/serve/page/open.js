// Keeps the page's word for this address and port alone, and goes on to the review.
"use strict";
(() => {
  const word = document.querySelector("meta[name=muster-word]").content;
  if (!word.startsWith("{")) localStorage.setItem("muster-word", word);
  location.replace("/");
})();
