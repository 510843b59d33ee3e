// Loaded by Node.js before the program of jsii's runtime: see process.go.
const fs = require('fs');
const { writeSync, mkdtempSync } = fs;

// A pipe has one direction: what is written to descriptor 3 goes to 4 (node.sh).
fs.writeSync = (fd, ...rest) => writeSync(fd === 3 ? 4 : fd, ...rest);

// V8 keeps what it has compiled of a file by the file's name. The runtime unpacks
// CDK into a directory with a random name, and V8 would compile CDK at every start.
// The first free one of a few fixed names makes the next start a fifth shorter.
fs.mkdtempSync = (prefix, ...rest) => {
  for (let n = 0; prefix.endsWith('jsii-kernel-') && n < 4; n++) {
    try {
      fs.mkdirSync(prefix + n, 0o700);
      return prefix + n;
    } catch {} // another process has it
  }
  return mkdtempSync(prefix, ...rest);
};
require('node:module').enableCompileCache?.(); // since Node.js 22

// The runtime reads CDK's archive of 300 MB into memory outside of V8's heap. V8 would
// collect its heap, of 20 MB, a hundred times while the archive is unpacked: a third of the
// work of a small synthesis. Other versions of Node.js may not know the flag.
if (process.versions.node.startsWith('24.')) {
  require('node:v8').setFlagsFromString('--external-memory-accounted-in-global-limit');
}
