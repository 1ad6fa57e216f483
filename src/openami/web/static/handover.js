// Hands a release over: the chosen files as one tar, made here and not held in memory, and tells
// how far that is. What comes of it is the head-end's to say.
"use strict";
(() => {
  const form = document.getElementById("handover");
  const problem = document.getElementById("problem");
  const far = document.getElementById("far");
  const words = document.getElementById("far-words");
  const BLOCK = 512;
  const octal = (value, digits) => value.toString(8).padStart(digits, "0");
  let request = null;

  // The head of a member (POSIX.1-1988, ustar).
  const head = (file) => {
    const octets = new Uint8Array(BLOCK);
    const put = (text, at) => octets.set(new TextEncoder().encode(text), at);
    put(file.name, 0);
    put("0000644", 100);
    put("0000000", 108);
    put("0000000", 116);
    put(octal(file.size, 11), 124);
    put(octal(0, 11), 136);
    put("        ", 148);
    put("0", 156);
    put("ustar\0" + "00", 257);
    put(octal(octets.reduce((sum, octet) => sum + octet), 6) + "\0 ", 148);
    return octets;
  };
  const pad = (file) => new Uint8Array((BLOCK - (file.size % BLOCK)) % BLOCK);
  const tar = (files) => new Blob([...files.flatMap((file) => [head(file), file, pad(file)]), new Uint8Array(2 * BLOCK)]);

  const refuse = (message, code) => {
    const said = document.createElement("p");
    said.className = "alert";
    said.textContent = code ? `${message} (error[${code}])` : message;
    problem.replaceChildren(said);
    form.querySelector("[type=submit]").disabled = false;
    form.querySelector("[data-action=stop]").hidden = true;
    far.parentElement.hidden = true;
    request = null;
  };
  const ask = (url, body, type) => new Promise((resolve, reject) => {
    request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRF-Token", form.dataset.csrf);
    request.setRequestHeader("Accept", "application/json");
    if (type) request.setRequestHeader("Content-Type", type);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => {
      far.value = total ? loaded / total : 0;
      words.textContent = loaded < total
        ? `${(loaded / 2 ** 20).toFixed(1)} of ${(total / 2 ** 20).toFixed(1)} MiB sent`
        : "All of it is sent. The head-end looks at it.";
    };
    request.onload = ({ target }) => (target.status < 300 ? resolve(target.response) : reject(target.response?.error ?? {}));
    request.onerror = () => reject({});
    request.onabort = () => reject({ message: "Stopped. Nothing was kept." });
    request.send(body);
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const files = [...form.elements.files.files];
    const whole = files.length === 1 && files[0].name.endsWith(".tar");
    problem.replaceChildren();
    if (!whole && !files.some((file) => file.name === "manifest.json")) {
      refuse("Choose manifest.json and the files that it names, or one tar of all of them.");
      return;
    }
    const body = whole ? files[0] : tar(files);
    if (body.size > Number(form.dataset.most)) {
      refuse(`A release has at most ${Math.floor(form.dataset.most / 2 ** 20)} MiB.`);
      return;
    }
    form.querySelector("[type=submit]").disabled = true;
    form.querySelector("[data-action=stop]").hidden = false;
    far.parentElement.hidden = false;
    try {
      const why = new URLSearchParams({ why: form.elements.why.value });
      const made = await ask(`/api/v1/releases?${why}`, body, "application/x-tar");
      if (form.elements.verify.checked) {
        words.textContent = "It is checked now.";
        await ask(`/api/v1/releases/${made.number}/verify`, null, null);
      }
      location.assign(`/releases/${made.number}`);
    } catch (error) {
      refuse(error.message ?? "The head-end does not answer. Try again.", error.code);
    }
  });
  form.querySelector("[data-action=stop]").addEventListener("click", () => request?.abort());
})();
