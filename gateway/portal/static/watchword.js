// Comfort only: every page works without this file. Texts come from the page, in data-text with "#"
// where the value goes.
"use strict";

const started = Date.now();
const secondsSince = () => Math.floor((Date.now() - started) / 1000);
const fill = (element, value) => { element.textContent = element.dataset.text.replace("#", value); };

// Codes: whatever is pasted, keep its digits; where the form says data-auto, send six of them, once.
for (const field of document.querySelectorAll("input.code")) {
  const take = (text) => {
    const digits = text.replace(/\D/g, "").slice(0, 6);
    if (digits !== field.value) field.value = digits; // writing would move the cursor
    if (field.value.length === 6 && "auto" in field.form.dataset && !field.form.dataset.sent) {
      field.form.requestSubmit();
    }
  };
  field.addEventListener("paste", (event) => {
    // maxlength would cut "123 456" before its last digit.
    event.preventDefault();
    take(event.clipboardData.getData("text"));
  });
  field.addEventListener("input", () => take(field.value));
}

// A second press sends nothing: one press, one request. The lock opens again for someone who comes back.
const unlock = (form) => { delete form.dataset.sent; };
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    setTimeout(unlock, 8000, form);
  });
  addEventListener("pageshow", () => unlock(form));
}

// Countdowns start from the server's numbers, so the clock of this device does not matter.
const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
function tick() {
  const gone = secondsSince();
  for (const said of document.querySelectorAll("[data-wait]")) {
    const left = said.dataset.wait - gone;
    if (left > 0) {
      said.setAttribute("aria-live", "off"); // nobody wants to hear every second of it
      fill(said, clock(left));
    } else {
      said.removeAttribute("aria-live");
      said.textContent = said.dataset.over;
      delete said.dataset.wait;
    }
  }
  for (const hint of document.querySelectorAll("[data-next-code]")) {
    fill(hint, ((hint.dataset.nextCode - gone - 1) % 30 + 30) % 30 + 1);
  }
  for (const hint of document.querySelectorAll("[data-expires]")) {
    const left = hint.dataset.expires - gone;
    if (left < 0) {
      location.replace(location.pathname); // the server then says that it is over
      return;
    }
    fill(hint, clock(left));
  }
  setTimeout(tick, 1000 - ((Date.now() - started) % 1000));
}
if (document.querySelector("[data-next-code], [data-expires], [data-wait]")) tick();

// A page that waits hears from the server what it waits for; then, or when there is nothing to be heard
// any more, it is asked for again.
for (const page of document.querySelectorAll("[data-events]")) {
  const again = () => location.replace(location.pathname + location.search);
  const events = new EventSource(page.dataset.events);
  for (const name of ["authorised", "ended"]) {
    events.addEventListener(name, () => {
      events.close(); // or it would ask for another stream, now that this one ends
      again();
    });
  }
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) setTimeout(again, 5000);
  });
}

// Times in this person's own zone and style.
for (const time of document.querySelectorAll("time")) {
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// What makes sense only with a script is hidden until here.
for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;

for (const button of document.querySelectorAll("[data-show]")) {
  button.addEventListener("click", () => {
    const field = document.getElementById(button.dataset.show);
    const shown = field.type === "text";
    field.type = shown ? "password" : "text";
    button.setAttribute("aria-pressed", String(!shown));
  });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard; // there only in a secure context
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = button.dataset.text;
  });
}

// Recovery codes: a file of what the page shows, made here, so that no address ever holds them.
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.download).innerText;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
    link.download = button.dataset.file;
    link.click();
    setTimeout(URL.revokeObjectURL, 1000, link.href);
  });
}

for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());
