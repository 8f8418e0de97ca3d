// Figures as words: the same in every table, whatever the locale. Owns nothing; pure. Called by whatever prints results
// for people.

export function number(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

export function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}

export function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(0)} GiB`;
}

export function bytesText(bytes: number): string {
  if (bytes >= 2 ** 30) return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  return `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MiB`;
}

export function times(value: number): string {
  return `${value.toFixed(2)} ×`;
}
