// Fetch behind the gateway: when a request needs a fresh code, ask for it here, then repeat the request.

const dialog = document.getElementById("approval");
const form = dialog.querySelector("form");
const code = document.getElementById("code");
const wrong = document.getElementById("code-wrong");

// The members of a problem document (RFC 9457); none if the response is something else.
export async function problemOf(response) {
  const type = response.headers.get("Content-Type") ?? "";
  return type.startsWith("application/problem+json") ? response.clone().json() : {};
}

export const sentence = ({ title, detail }) => [title, detail].filter(Boolean).join(". ");

// Send a request whose body is a string. Gives the answer to it, or the problem that is in its way; null
// when the person cancelled, or is on the way to sign in.
export async function fetchApproved(address, init) {
  let response = await fetch(address, init);
  const problem = await problemOf(response);
  if (problem.challenge) {
    response = await ask(problem);
    if (response?.ok) response = await fetch(address, init);
  }
  return response?.status === 401 && (await leaves(response)) ? null : response;
}

async function leaves(response) {
  const { sign_in: signIn, waiting } = await problemOf(response);
  if (!signIn && !waiting) return false;
  const address = new URL(signIn ?? waiting, location.href);
  address.searchParams.set("return_to", location.pathname);
  location.assign(address);
  return true;
}

// The answer to the code that ended the matter: it was right, or comes too late. Null when cancelled.
function ask(problem) {
  describe(problem);
  dialog.showModal();
  code.focus();
  return new Promise((resolve) => {
    let busy = false;
    const submit = async (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      const response = await send(problem.challenge).catch(() => null);
      if (response?.ok || [401, 410].includes(response?.status)) return finish(response);
      const trouble = response && sentence(await problemOf(response));
      wrong.textContent = trouble || "The code could not be checked. See whether you are online, and try again.";
      code.setAttribute("aria-invalid", "true");
      code.select();
      busy = false;
    };
    // Phones and password managers fill in all six digits at once; nobody needs to press a button then.
    const typed = (event) => digits().length === 6 && submit(event);
    const cancelled = () => finish(null);
    const finish = (response) => {
      form.removeEventListener("submit", submit);
      code.removeEventListener("input", typed);
      dialog.removeEventListener("close", cancelled);
      dialog.close();
      resolve(response);
    };
    form.addEventListener("submit", submit);
    code.addEventListener("input", typed);
    dialog.addEventListener("close", cancelled);
  });
}

const digits = () => code.value.replace(/\s/g, "");

const send = (challenge) =>
  fetch(`/.watchword/api/step-up/${encodeURIComponent(challenge)}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify({ code: digits() }),
  });

function describe(problem) {
  code.value = "";
  code.removeAttribute("aria-invalid");
  wrong.textContent = "";
  dialog.querySelector("[data-title]").textContent = problem.action_title ?? problem.title;
  dialog.querySelector("[data-elsewhere]").href = problem.step_up;
  const rows = (problem.approves ?? []).map(({ label, value }) => {
    const row = document.createElement("div");
    row.append(document.createElement("dt"), document.createElement("dd"));
    row.firstChild.textContent = label;
    row.lastChild.textContent = value;
    return row;
  });
  dialog.querySelector("[data-approves]").replaceChildren(...rows);
}

dialog.querySelector("[data-cancel]").addEventListener("click", () => dialog.close());
