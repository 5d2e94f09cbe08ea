// Sending to another member: the form calls the JSON API and stays on its page.

import { fetchApproved, problemOf, sentence } from "./approval.js";

const form = document.getElementById("transfer");
const outcome = document.getElementById("outcome");
const button = form.querySelector("button");
const amounts = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 });

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    await send(Object.fromEntries(new FormData(form)));
  } catch {
    say("No answer arrived. Look at the overview before you send again: it may have gone through.", true);
  } finally {
    button.removeAttribute("aria-disabled");
  }
});

async function send(fields) {
  outcome.hidden = true;
  mark({});
  const response = await fetchApproved("/api/transfers", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(fields),
  });
  if (response === null) return say("Nothing was sent.", false);
  if (response.ok) return sent(await response.json());
  const problem = await problemOf(response);
  mark(problem.errors ?? {});
  if (problem.errors) return say("Nothing was sent. Please check what is marked below.", true);
  const late = response.status === 410 && "The time for the code ran out: please send it again.";
  say(`Nothing was sent. ${late || sentence(problem)} `, true);
  if (problem.set_up) outcome.append(link(problem.set_up, "Set it up now"));
}

const link = (href, textContent) => Object.assign(document.createElement("a"), { href, textContent });

function sent({ id, amount, asset, address, note, balance }) {
  const written = `${amounts.format(amount)} ${asset}`;
  say(`${written} sent to ${address}. Reference ${id}.`, false);
  document.querySelector("[data-available]").textContent = amounts.format(balance);
  const row = document.getElementById("transfer-row").content.cloneNode(true);
  row.querySelector("[data-to]").textContent = `To ${address}`;
  row.querySelector("[data-note]").textContent = note || "Transfer";
  row.querySelector("[data-amount]").textContent = `−${written}`;
  document.getElementById("transfers").prepend(row);
  document.querySelector("[data-none]").hidden = true;
  form.reset();
}

function say(text, wrong) {
  outcome.textContent = text;
  outcome.classList.toggle("wrong", wrong);
  outcome.hidden = false;
  outcome.focus();
}

// Show each field's error in place of its hint, and take away those of before.
function mark(errors) {
  for (const input of form.elements) {
    const help = document.getElementById(`${input.name}-help`);
    if (!help) continue;
    help.dataset.hint ??= help.textContent;
    help.textContent = errors[input.name] ?? help.dataset.hint;
    help.classList.toggle("wrong", input.name in errors);
    input.toggleAttribute("aria-invalid", false);
    if (input.name in errors) input.setAttribute("aria-invalid", "true");
  }
}
