// Run in a page: what a person with low vision, a thumb or a screen reader would stumble over.
(() => {
  const visible = (element) => element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
  const seen = (element) => visible(element) && !element.closest(".unseen, .skip");
  const numbers = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((x, i) => x * a + below[i] * (1 - a));
  const luminance = (color) => {
    const [r, g, b] = color.map((x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.unshift(numbers(getComputedStyle(e).backgroundColor));
    return layers.reduce((below, layer) => (layer.length ? over(layer, below) : below), [255, 255, 255]);
  };
  const pale = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || ["SCRIPT", "NOSCRIPT", "OPTION"].includes(element.tagName) || !seen(element)) continue;
    const style = getComputedStyle(element);
    const isSvg = element instanceof SVGElement;
    const below = ground(element);
    const ratio = contrast(over(numbers(isSvg ? style.fill : style.color), below), below);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) pale.push(`${element.tagName}.${element.className} ${node.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  const signs = [...document.querySelectorAll(".arc, .cutoff, .sign .icon, .share")].filter(visible);
  for (const sign of signs) {
    const style = getComputedStyle(sign);
    const color = sign.matches(".share") ? style.backgroundColor : style.stroke;
    const ratio = contrast(numbers(color).slice(0, 3), ground(sign.closest(".card")));
    if (ratio < 3) pale.push(`${sign.getAttribute("class")}: ${ratio.toFixed(2)}`);
  }
  for (const field of [...document.querySelectorAll("input, select")].filter(visible)) {
    const ratio = contrast(numbers(getComputedStyle(field).borderTopColor).slice(0, 3), ground(field.closest(".card")));
    if (ratio < 3) pale.push(`border of ${field.id}: ${ratio.toFixed(2)}`);
  }
  const targets = [...document.querySelectorAll("button, select, input, summary, #summary a")].filter(seen);
  const box = (element) => (element.type === "checkbox" ? element.closest("label") : element).getBoundingClientRect();
  const small = targets.filter((e) => box(e).height < 44 || box(e).width < 44).map((e) => `${e.tagName} ${e.id} ${e.textContent}`);
  const { scrollWidth, clientWidth } = document.documentElement;
  const headings = [...document.querySelectorAll("h1, h2, h3")].filter(seen).map((h) => Number(h.tagName[1]));
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  return { pale, small, isWide: scrollWidth > clientWidth, headings, repeated: ids.filter((id, i) => ids.indexOf(id) !== i) };
})()
