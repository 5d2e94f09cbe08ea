// The live prices of the front page. Without this script the page shows the prices of when it was made.

const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const percent = new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 2, signDisplay: "always" });
const bar = document.querySelector("[data-live]");
const state = bar.querySelector("[data-live-state]");
const button = bar.querySelector("button");
const rows = new Map([...document.querySelectorAll("[data-symbol]")].map((row) => [row.dataset.symbol, row]));

let socket = null;
let paused = false;
let patience = 1000; // milliseconds until the next attempt to connect

function show({ prices }) {
  let total = 0;
  for (const { symbol, price, change } of prices) {
    const row = rows.get(symbol);
    if (!row) continue;
    const worth = Number(row.dataset.amount) * price;
    total += worth;
    row.querySelector("[data-price]").textContent = dollars.format(price);
    row.querySelector("[data-worth]").textContent = dollars.format(worth);
    const changed = row.querySelector("[data-change]");
    if (changed) {
      changed.textContent = percent.format(change).replace("-", "−");
      changed.className = change >= 0 ? "up" : "down";
    }
  }
  document.querySelector("[data-total]").textContent = dollars.format(total);
}

function announce(text, live) {
  state.textContent = text;
  bar.classList.toggle("on", live);
}

function connect() {
  socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`, ["prices"]);
  socket.addEventListener("open", () => {
    patience = 1000;
    announce("Live", true);
  });
  socket.addEventListener("message", ({ data }) => show(JSON.parse(data)));
  socket.addEventListener("close", onClose);
}

async function onClose() {
  socket = null;
  if (paused) return;
  announce("Reconnecting", false);
  if (await signedOut()) return;
  setTimeout(() => paused || socket || connect(), patience);
  patience = Math.min(patience * 2, 30000);
}

// A browser does not say why a WebSocket ended. If the session did, an ordinary request finds out.
async function signedOut() {
  const response = await fetch("/api/balances", { headers: { Accept: "application/json" } }).catch(() => null);
  if (response?.status !== 401) return false;
  document.getElementById("session-ended").hidden = false;
  bar.hidden = true;
  return true;
}

// What moves by itself can be stopped (WCAG 2.2.2).
button.addEventListener("click", () => {
  paused = !paused;
  button.textContent = paused ? "Resume" : "Pause";
  if (paused) {
    announce("Paused", false);
    socket?.close();
  } else {
    announce("Connecting", false);
    connect();
  }
});

bar.hidden = false;
announce("Connecting", false);
connect();
