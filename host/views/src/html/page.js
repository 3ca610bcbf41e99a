// Picks a turn: by pointing at a column or a line, or with the slider. The figures are drawn already;
// all that changes is which turn the ring and the sentence below it show.
'use strict';
(() => {
  const rows = [...document.querySelectorAll('tr.turn')];
  const slider = document.getElementById('turn');
  if (!slider || rows.length === 0) return;

  const numbers = rows.map(row => Number(row.id.slice(1)));
  const plots = document.querySelector('.plots[data-columns]');
  const cursor = document.querySelector('.cursor');
  const ring = document.getElementById('ring');
  const now = document.getElementById('now');
  let picked = -1;

  // Where the middle of a slot is, so far from the centre: as the host drew it.
  const place = (slot, radius) => {
    const angle = (slot + 0.5) / ring.dataset.capacity * 2 * Math.PI;
    return `translate(${(radius * Math.sin(angle)).toFixed(1)} ${(-radius * Math.cos(angle)).toFixed(1)})`;
  };

  const fitting = item => item.length <= 4 ? item : item.slice(0, 3) + '…';

  // A turn that failed changed nothing: the ring is that of the line of the turn before.
  const showRing = index => {
    const row = rows[index];
    if (row.classList.contains('failed')) {
      if (index > 0) showRing(index - 1);
      return;
    }
    const items = row.lastElementChild.textContent.split(' ');
    const labels = ring.querySelectorAll('text.item');
    ring.querySelectorAll('.slot').forEach((slot, index) => {
      const full = items[index] !== '.';
      slot.classList.toggle('full', full);
      if (labels[index]) labels[index].textContent = full ? fitting(items[index]) : '';
    });
    const count = items.filter(item => item !== '.').length;
    document.getElementById('count').textContent = count;
    document.getElementById('P').setAttribute('transform', place(Number(row.dataset.p), 112));
    document.getElementById('C').setAttribute('transform', place(Number(row.dataset.c), 45));
    ring.setAttribute('aria-label', `The ring after turn ${row.id.slice(1)}: ${count} of ${items.length} slots are in use`);
    Object.assign(ring.dataset, { turn: row.id.slice(1), prod_p: row.dataset.p, cons_p: row.dataset.c, count });
  };

  const sentence = row => {
    const [turn, vm, moved, items] = [...row.children].map(cell => cell.textContent.trim());
    if (row.classList.contains('failed')) return `Turn ${turn}, VM ${vm} ${moved}`;
    if (!ring) return `Turn ${turn}, VM ${vm}: mailbox ${moved}`;
    const deed = moved.startsWith('+') ? 'adds' : 'takes';
    return `Turn ${turn}, VM ${vm} ` + (moved === '0' ? 'moves nothing' : `${deed} ${moved.slice(1)}: ${items}`);
  };

  const showCursor = index => {
    if (!plots) return;
    // The turn that failed has the last column, however many turns share the others.
    const failed = rows[index].classList.contains('failed');
    const column = failed ? plots.dataset.columns - 1 : Math.floor((numbers[index] - 1) / plots.dataset.each);
    cursor.hidden = false;
    cursor.style.left = `${100 * column / plots.dataset.columns}%`;
    cursor.style.width = `${100 / plots.dataset.columns}%`;
  };

  const pick = index => {
    index = Math.max(0, Math.min(rows.length - 1, index));
    if (index === picked) return;
    if (picked >= 0) rows[picked].classList.remove('picked');
    picked = index;
    const row = rows[index];
    row.classList.add('picked');
    if (ring) showRing(index);
    showCursor(index);
    slider.value = index;
    slider.setAttribute('aria-valuetext', `turn ${numbers[index]}`);
    now.textContent = sentence(row);
  };

  // Brings the picked line into its box, without moving the page.
  const reveal = () => {
    const box = document.querySelector('.scroll');
    const [row, frame] = [rows[picked].getBoundingClientRect(), box.getBoundingClientRect()];
    box.scrollTop += row.top - frame.top - (frame.height - row.height) / 2;
  };

  // The line of a turn, or the nearest where it was left out.
  const nearest = turn => numbers.reduce(
    (best, number, index) => Math.abs(number - turn) < Math.abs(numbers[best] - turn) ? index : best, 0);

  const pointed = event => {
    const box = cursor.parentElement.getBoundingClientRect();
    const part = (event.clientX - box.left) / box.width;
    if (part < 0 || part >= 1) return;
    pick(nearest(Math.floor(part * plots.dataset.columns) * plots.dataset.each + 1));
    reveal();
  };

  if (plots) {
    plots.addEventListener('pointermove', pointed);
    plots.addEventListener('pointerdown', pointed);
  }
  const lineUnder = event => {
    const row = event.target.closest('tr.turn');
    if (row) pick(rows.indexOf(row));
  };
  const lines = document.querySelector('.transcript');
  lines.addEventListener('pointerover', lineUnder);
  lines.addEventListener('click', lineUnder);
  slider.max = rows.length - 1;
  slider.addEventListener('input', () => { pick(Number(slider.value)); reveal(); });
  const step = by => () => { pick(picked + by); reveal(); };
  document.getElementById('back').addEventListener('click', step(-1));
  document.getElementById('on').addEventListener('click', step(1));
  document.querySelectorAll('.panel [hidden]').forEach(element => { element.hidden = false; });

  const wanted = /^#t(\d+)$/.exec(location.hash);
  pick(wanted ? nearest(Number(wanted[1])) : rows.length - 1);
  if (wanted) reveal();
})();
