/** Elements of the page. Text is always set as text, never as HTML. */

/**
 * Make an element.
 * @param {string} tag
 * @param {Object} values attributes; `on` maps events to listeners, `text` is the content, true sets an empty attribute.
 * @param {...(Node|string)} children
 */
export function make(tag, values = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Change a text only where it is another one, so that screen readers say it once. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Seconds as 1:05. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** How much longer something takes: about, and not as if anybody knew. */
export function timeLeft(seconds) {
  if (seconds < 2) return "almost done";
  if (seconds < 10) return `about ${Math.round(seconds)} s left`;
  if (seconds < 90) return `about ${5 * Math.round(seconds / 5)} s left`;
  return `about ${Math.round(seconds / 60)} minutes left`;
}

/** A length of time in words. */
export function duration(seconds) {
  if (seconds < 90) return `${Number(seconds.toFixed(seconds < 10 ? 1 : 0))} s`;
  return `${Number((seconds / 60).toFixed(1))} minutes`;
}
