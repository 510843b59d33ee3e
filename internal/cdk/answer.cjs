// A pipe has one direction: what is written to descriptor 3 goes to 4 (node.sh).
const fs = require('fs');
const { writeSync } = fs;
fs.writeSync = (fd, ...rest) => writeSync(fd === 3 ? 4 : fd, ...rest);
