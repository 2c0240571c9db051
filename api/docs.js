// Sends what a form says, and shows the answer below it.
function address(form) {
    const query = new URLSearchParams();
    let path = form.dataset.path;
    for (const input of form.querySelectorAll("input[data-in]")) {
        if (input.dataset.in === "path")
            path = path.replace(`{${input.name}}`, () => encodeURIComponent(input.value));
        else if (input.dataset.in === "query" && input.value !== "")
            query.append(input.name, input.value);
    }
    if (form.querySelector(".trace").checked)
        query.append("_trace", "1");
    return `${path}?${query}`.replace(/\?$/, "");
}

// Values go as they were written: a number read and written again would lose its digits.
function body(form) {
    const members = [];
    for (const input of form.querySelectorAll('input[data-in="body"]')) {
        const text = input.value, plain = input.dataset.json === undefined;
        if (text !== "")
            members.push(`${JSON.stringify(input.name)}: ${plain ? JSON.stringify(text) : text}`);
    }
    return form.querySelector('input[data-in="body"]') ? `{${members.join(", ")}}` : undefined;
}

// The token goes to the queries that ask for one, and nowhere else.
function headers(form, hasBody) {
    const token = document.getElementById("token"), all = {};
    if (hasBody)
        all["Content-Type"] = "application/json";
    if (form.dataset.auth !== undefined && token.value !== "")
        all.Authorization = `Bearer ${token.value}`;
    return all;
}

async function send(form) {
    const shown = form.querySelector("output"), request = {method: form.dataset.method};
    request.body = body(form);
    request.headers = headers(form, request.body !== undefined);
    const to = address(form);
    let said = `${request.method} ${to}\n`;
    try {
        const answer = await fetch(to, request);
        const timing = answer.headers.get("Server-Timing");
        said += `${answer.status} ${answer.statusText}${timing ? "\n" + timing : ""}\n\n`;
        said += await answer.text();
    } catch (error) {
        said += `No answer: ${error.message}`;
    }
    shown.textContent = said;
    shown.hidden = false;
}

for (const form of document.querySelectorAll("form"))
    form.addEventListener("submit", event => {
        event.preventDefault();
        send(form);
    });
