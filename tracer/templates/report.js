(() => {
  // Copies what a button stands beside.
  for (const pre of document.querySelectorAll('pre[data-copy]')) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = 'Copy';
    button.addEventListener('click', () => {
      const range = document.createRange();
      range.selectNodeContents(pre);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      const copied = navigator.clipboard ? navigator.clipboard.writeText(pre.textContent) : Promise.reject();
      copied.then(() => { button.textContent = 'Copied'; }, () => { button.textContent = 'Selected'; });
    });
    pre.before(button);
  }
  // Zooms into logins over time: from where the button went down to where it came up; again for all.
  const chart = document.querySelector('svg.timeline');
  if (!chart) return;
  const whole = chart.getAttribute('viewBox');
  const [, , width, height] = whole.split(' ').map(Number);
  const note = document.getElementById('zoom');
  const reset = document.createElement('button');
  reset.type = 'button';
  reset.hidden = true;
  reset.textContent = 'All of it';
  note.hidden = false;
  note.after(reset);
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    const [left, , wide] = chart.getAttribute('viewBox').split(' ').map(Number);
    return left + (event.clientX - box.left) / box.width * wide;
  };
  const show = (from, to) => {
    chart.setAttribute('viewBox', from === 0 && to === width ? whole : `${from} 0 ${to - from} ${height}`);
    chart.setAttribute('preserveAspectRatio', 'none');
    reset.hidden = from === 0 && to === width;
  };
  let from = null;
  chart.addEventListener('pointerdown', (event) => { from = at(event); });
  chart.addEventListener('pointerup', (event) => {
    if (from === null) return;
    const [left, right] = [from, at(event)].sort((a, b) => a - b);
    from = null;
    if (right - left > 4) show(left, right);
  });
  reset.addEventListener('click', () => show(0, width));
})();
