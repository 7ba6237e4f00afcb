// How figures and times are written on all pages.
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export const number = (value, digits = 1) => (value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(digits));
export const perSecond = (value) => `${number(value)}/s`;
export const percent = (value) => `${Math.round(value * 100)} %`;

export function micros(value) {
  if (value >= 1e6) return `${number(value / 1e6)} s`;
  return value >= 1000 ? `${number(value / 1000)} ms` : `${number(value)} µs`;
}

export function bytesPerSecond(count) {
  let [value, unit] = [count, 0];
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : number(value)} ${UNITS[unit]}/s`;
}

const digits = (value, count = 2) => String(value).padStart(count, "0");
/** Of a `Date`. Like all times of the pages it is in the browser's time zone, as the axes of the charts are. */
export const clock = (date) => [date.getHours(), date.getMinutes(), date.getSeconds()].map((each) => digits(each)).join(":");

/** Of a time in ISO 8601, as `moment` takes it. */
export function clockMs(time) {
  const date = new Date(time);
  return `${clock(date)}.${digits(date.getMilliseconds(), 3)}`;
}

export function moment(time) {
  const date = new Date(time);
  return `${date.getFullYear()}-${digits(date.getMonth() + 1)}-${digits(date.getDate())} ${clock(date)}`;
}

export function since(seconds) {
  if (seconds >= 7200) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}
