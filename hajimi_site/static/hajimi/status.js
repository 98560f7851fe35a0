"use strict";

// The clipboard's own interface is missing on plain http; selecting and copying works everywhere.
function copyText(element) {
  if (navigator.clipboard) {
    return navigator.clipboard.writeText(element.textContent);
  }
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  return document.execCommand("copy") ? Promise.resolve() : Promise.reject();
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    try {
      await copyText(document.getElementById(button.dataset.copy));
    } catch {
      return;
    }
    button.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = label; }, 1500);
  });
}

// In a frame of another site the browser keeps no cookie of ours: the other language opens in a tab of its own.
if (window.top !== window.self) {
  for (const form of document.querySelectorAll("[data-language]")) form.target = "_blank";
}
