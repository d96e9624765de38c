// The API browser: shows the documents of all sites, fetched through this one, in the vendored Swagger UI.

const own = "tavern";
const asked = new URLSearchParams(location.search).get("site") || own;

async function fetchJson(path) {
  const answer = await fetch(path);
  const body = await answer.json().catch(() => null);
  if (!answer.ok || body === null) throw new Error(body?.message ?? `${path} answered with status ${answer.status}.`);
  return body;
}

function showSites(names) {
  const nav = document.getElementById("sites");
  for (const name of names) {
    const link = document.createElement("a");
    link.href = `/docs?site=${encodeURIComponent(name)}`;
    link.textContent = name;
    if (name === asked) link.setAttribute("aria-current", "page");
    nav.append(link);
  }
}

function streams(spec, path, method) {
  const told = spec.paths[path]?.[method]?.responses?.["200"]?.content ?? {};
  return "text/event-stream" in told;
}

function showDocument(spec) {
  // A browser may ask this site only; and a stream would never be finished.
  const canTry = (path, method) => asked === own && !streams(spec, path, method);
  window.SwaggerUIBundle({
    spec,
    domNode: document.getElementById("browser"),
    deepLinking: true,
    validatorUrl: null,
    plugins: [{ statePlugins: { spec: { wrapSelectors: { allowTryItOutFor: () => (_state, path, method) => canTry(path, method) } } } }],
  });
}

function followColours(dark) {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}

async function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  followColours(dark);
  dark.addEventListener("change", followColours);
  try {
    showSites((await fetchJson("/docs/sites")).sites);
    // Our own one names no address, so that trying it out works through a tunnel too.
    showDocument(await fetchJson(asked === own ? "/openapi.json" : `/docs/${encodeURIComponent(asked)}.json`));
  } catch (error) {
    const trouble = document.getElementById("trouble");
    trouble.textContent = error.message;
    trouble.hidden = false;
  }
}

start();
