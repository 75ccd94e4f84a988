// Keys, focus and clicks of the control panel, in the browser; once in a page, for all panels that it shows.
(() => {
  if (window.oetPanelKeys) return;
  window.oetPanelKeys = true;
  const DELAY = 300; // milliseconds after which a click that the kernel has not answered is said to wait
  const panelOf = (node) => (node instanceof Element ? node.closest('.oet-panel') : null);
  const listOf = (node) => (node instanceof Element ? node.closest('.oet-rows') : null);
  const observed = new WeakSet();
  let focused = null; // what has the focus in a panel: {panel, element, inList, label}
  let clicked = null; // the button whose click the kernel has not answered: {panel, button, timer}

  const answer = () => {
    if (!clicked) return;
    clearTimeout(clicked.timer);
    clicked.button.classList.remove('oet-waiting');
    const note = clicked.panel.querySelector('.oet-note');
    if (note) note.textContent = '';
    clicked = null;
  };

  // a button that is disabled, or a row that is drawn anew, would lose the focus to the page
  const keepFocus = () => {
    if (!focused || (focused.element.isConnected && !focused.element.disabled)) return;
    const active = document.activeElement;
    if (active && active !== document.body && active !== focused.element) return;
    const rows = [...focused.panel.querySelectorAll('.oet-rows button')];
    if (focused.inList && !rows.length) return; // they are about to be there again
    const same = focused.inList && rows.find((row) => row.innerText.trim() === focused.label);
    // a row of the list: Enter, held down, does no harm there
    const next = same || rows.find((row) => row.tabIndex === 0) || focused.panel.querySelector('select:enabled');
    if (next) next.focus({ preventScroll: true });
  };

  const observe = (panel) => {
    if (observed.has(panel)) return;
    observed.add(panel);
    new MutationObserver((changes) => {
      const inNote = (node) => (node instanceof Element ? node : node.parentElement)?.closest('.oet-note');
      if (clicked?.panel === panel && changes.some((one) => !inNote(one.target))) answer();
      keepFocus();
    }).observe(panel, { subtree: true, childList: true, attributes: true, attributeFilter: ['disabled'] });
  };

  window.addEventListener('focusin', (event) => {
    const panel = panelOf(event.target);
    focused = panel && {
      panel, element: event.target, inList: !!listOf(event.target), label: event.target.innerText?.trim(),
    };
    if (panel) observe(panel);
  }, true);

  window.addEventListener('pointerdown', (event) => {
    if (!panelOf(event.target)) focused = null;
  }, true);

  window.addEventListener('click', (event) => {
    const panel = panelOf(event.target);
    const button = event.target instanceof Element && event.target.closest('button');
    if (!panel || !button || button.disabled) return;
    observe(panel);
    answer();
    const timer = setTimeout(() => {
      button.classList.add('oet-waiting');
      const note = panel.querySelector('.oet-note');
      const name = button.innerText.trim() || button.title;
      if (note) note.textContent = `${name}: sent; the kernel of this notebook is busy, and does it when it is free`;
    }, DELAY);
    clicked = { panel, button, timer };
  }, true);

  window.addEventListener('keydown', (event) => {
    if (!panelOf(event.target)) return;
    // a letter is no command to Jupyter here (x cuts a cell); Ctrl-S and its like stay Jupyter's. The attribute is
    // looked for from the focused element on, and its shortcuts match that element
    const suppressed = !(event.ctrlKey || event.metaKey || event.altKey);
    event.target.toggleAttribute('data-lm-suppress-shortcuts', suppressed);
    const list = listOf(event.target);
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!list || !step || event.target.tagName !== 'BUTTON') return;
    const rows = [...list.querySelectorAll('button')];
    const place = Math.min(Math.max(rows.indexOf(event.target) + step, 0), rows.length - 1);
    rows[place].focus();
    event.preventDefault();
  }, true);
})();
