(() => {
  // Copies what a button stands beside.
  for (const text of document.querySelectorAll('[data-copy]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Copy';
    button.addEventListener('click', () => {
      const range = document.createRange();
      range.selectNodeContents(text);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      const copied = navigator.clipboard ? navigator.clipboard.writeText(text.textContent) : Promise.reject();
      copied.then(() => { button.textContent = 'Copied'; }, () => { button.textContent = 'Selected'; });
    });
    if (text.tagName === 'PRE') text.before(button); else text.after(' ', button);
  }
  // Zooms into logins over time, by buttons or by dragging: columns get wider, and times are written anew.
  const chart = document.querySelector('svg.timeline');
  if (!chart) return;
  const columns = chart.querySelector('.columns');
  const clocks = [...chart.querySelectorAll('.clock')];
  const [begins, lasts, wide] = ['begins', 'lasts', 'wide'].map((name) => Number(chart.dataset[name]));
  const tools = document.getElementById('zoom');
  const shown = tools.querySelector('[aria-live]');
  const texts = clocks.map((clock) => clock.textContent);
  const least = Math.min(1, 1000 / lasts);
  let [from, to] = [0, 1];
  const show = (left, right) => {
    const span = Math.min(1, Math.max(least, right - left));
    from = Math.min(Math.max(0, left), 1 - span);
    to = from + span;
    const whole = span === 1;
    columns.setAttribute('transform', `scale(${1 / span} 1) translate(${-from * wide} 0)`);
    const time = (part) => new Date(begins + (from + part * span) * lasts).toISOString();
    // Days too where there are several, as it was written; parts of a second where there are few.
    const [first, last] = span * lasts > 86400000 ? [5, 16] : [11, span * lasts < 10000 ? 23 : 19];
    clocks.forEach((clock, at) => {
      clock.textContent = whole ? texts[at] : time(at / (clocks.length - 1)).slice(first, last).replace('T', ' ');
    });
    shown.textContent = whole ? '' : `${time(0).slice(11, 19)} to ${time(1).slice(11, 19)}`;
  };
  const by = (factor) => show((from + to) / 2 - (to - from) / 2 * factor, (from + to) / 2 + (to - from) / 2 * factor);
  const move = (part) => show(from + (to - from) * part, to + (to - from) * part);
  const does = { in: () => by(0.5), out: () => by(2), back: () => move(-0.5), on: () => move(0.5), all: () => show(0, 1) };
  for (const button of tools.querySelectorAll('button')) button.addEventListener('click', does[button.dataset.zoom]);
  const at = (event) => {
    const box = columns.parentElement.parentElement.getScreenCTM();
    return Math.min(1, Math.max(0, (event.clientX - box.e) / box.a / wide));
  };
  let pressed = null;
  chart.addEventListener('pointerdown', (event) => { pressed = at(event); });
  addEventListener('pointerup', (event) => {
    if (pressed === null) return;
    const [left, right] = [pressed, at(event)].sort((a, b) => a - b).map((part) => from + part * (to - from));
    const few = (to - from) / 100;
    pressed = null;
    if (right - left > few) show(left, right);
  });
  addEventListener('pointercancel', () => { pressed = null; });
  tools.hidden = false;
})();
