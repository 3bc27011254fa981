/**
 * The views as tabs, by mouse and by keyboard (arrow keys, Home, End), as ARIA's pattern has them.
 *
 * @module
 */
import { byId } from "./dom.ts";

export type TabName = "report" | "bytes" | "decode" | "convert";

const NAMES: readonly TabName[] = ["report", "bytes", "decode", "convert"];
const tabs = NAMES.map((name) => byId<HTMLButtonElement>(`tab-${name}`));
let onShow: (name: TabName) => void = () => {};

/** Shows a view. */
export function showTab(name: TabName, focus = false): void {
  NAMES.forEach((other, i) => {
    const selected = other === name;
    tabs[i]!.setAttribute("aria-selected", String(selected));
    tabs[i]!.tabIndex = selected ? 0 : -1;
    byId(`panel-${other}`).hidden = !selected;
    if (selected && focus) tabs[i]!.focus();
  });
  onShow(name);
}

/** Which views there are; the first of them is always there, and shown where the one that was shown is not. */
export function allowTabs(allowed: readonly TabName[]): void {
  NAMES.forEach((name, i) => {
    tabs[i]!.hidden = !allowed.includes(name);
    if (tabs[i]!.hidden && tabs[i]!.ariaSelected === "true") showTab(NAMES[0]!);
  });
}

/** Tells `show` of each view that is shown. */
export function startTabs(show: (name: TabName) => void): void {
  onShow = show;
  tabs.forEach((tab, i) => {
    tab.onclick = () => showTab(NAMES[i]!);
    tab.onkeydown = (event) => {
      const there = NAMES.filter((_, k) => !tabs[k]!.hidden);
      const at = there.indexOf(NAMES[i]!);
      const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: there.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      showTab(there[(to + there.length) % there.length]!, true);
    };
  });
}
