// Builds elements. Text is only ever set as text, so nothing that comes from the server can become markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Shows a view and moves the focus to its heading, so that keyboards and screen readers start there.
export function show(...children) {
  const view = document.getElementById("view");
  view.replaceChildren(...children.filter((child) => child != null));
  window.scrollTo(0, 0);
  const heading = view.querySelector("h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}

// Keeps a property of the style sheet at the height of an element, for what sticks below it.
export function tellHeight(node, property) {
  const tell = () => document.documentElement.style.setProperty(property, `${node.offsetHeight}px`);
  new ResizeObserver(tell).observe(node);
}

export function seconds(value) {
  return value.toFixed(1) + " s";
}
