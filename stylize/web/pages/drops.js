/** Files that are dropped anywhere on the page. */

/**
 * Give them to the picker in the part of the page where they were dropped, or else to the first.
 * @param {Picker[]} pickers
 */
export function listenForDrops(pickers) {
  const targetOf = (event) =>
    pickers.find(({ element }) => element.offsetParent && element.closest(".card").contains(event.target)) || pickers[0];
  const mark = (target) => pickers.forEach((each) => each.element.classList.toggle("over", each === target));
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(targetOf(event));
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget || mark(null));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(null);
    targetOf(event).takeDropped([...event.dataTransfer.files]);
  });
}
