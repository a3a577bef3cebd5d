const { writeFileSync } = require('node:fs');
const { reporters } = require('mocha');

/** The spec reporter, which also writes `{passed, failed}` to the file that SCALPEL_REPORT names. */
module.exports = class CountingReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures } = runner.stats;
      if (process.env.SCALPEL_REPORT) writeFileSync(process.env.SCALPEL_REPORT, JSON.stringify({ passed: passes, failed: failures }));
    });
  }
};
