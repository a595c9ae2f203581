"""A script that finds the texts of a page whose colour is too near to what is behind them (WCAG 2.2, 1.4.3)."""

CONTRAST = """
const numbers = color => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const light = rgb => {
  const [r, g, b] = rgb.slice(0, 3).map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = node => {
  for (let at = node; at; at = at.parentElement) {
    const color = numbers(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
  return [255, 255, 255];
};
const faint = () => {
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT), found = [];
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const node = text.parentElement, inside = node.closest("svg"), style = getComputedStyle(node);
    if (!text.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName)) continue;
    const pair = [light(numbers(inside ? style.fill : style.color)), light(behind(node))].sort((a, b) => b - a);
    if ((pair[0] + 0.05) / (pair[1] + 0.05) < 4.5) found.push(text.data.trim());
  }
  return found;
};
"""
