// JSON lines on standard output.

/** A log whose lines have the name of the service. */
export function logger(service, write = (line) => process.stdout.write(line)) {
  const line = (level) => (msg, fields = {}) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, service, ...fields })}\n`);
  return { info: line('INFO'), error: line('ERROR') };
}
