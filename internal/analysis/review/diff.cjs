// Compares pairs of templates with the library that `cdk diff` is made of, and
// writes what it finds as JSON. Standard input has the pairs, as
// [{"before": TEMPLATE, "after": TEMPLATE}]; null is a stack that is not there.
// This has to run where @aws-cdk/cloudformation-diff is installed.
'use strict';
process.env.FORCE_COLOR = '0'; // chalk looks at it when it is loaded
const fs = require('fs');
const { createRequire } = require('module');
const { Writable } = require('stream');
const lib = createRequire(process.cwd() + '/')('@aws-cdk/cloudformation-diff');

// Has what a function writes to a stream.
const written = (write) => {
  let text = '';
  write(new Writable({ write(chunk, _encoding, done) { text += chunk; done(); } }));
  return text;
};

// What `cdk diff` leaves out, too: they come and go with the version of CDK.
const ofCDK = (change) => [change?.newResourceType, change?.oldResourceType].includes('AWS::CDK::Metadata');
const ofBootstrap = (change) => change?.newValue?.CheckBootstrapVersion || change?.oldValue?.CheckBootstrapVersion;

const compare = ({ before, after }) => {
  const [was, is] = [before ?? {}, after ?? {}];
  const diff = lib.fullDiff(was, is);
  diff.resources = diff.resources.filter((change) => !ofCDK(change));
  diff.unknown = diff.unknown.filter((change) => !ofBootstrap(change));
  const formatter = new lib.Formatter(new Writable(), {}, diff);
  // Names of all resources, those that are the same as well.
  const paths = {};
  for (const template of [was, is]) {
    for (const [id, resource] of Object.entries(template.Resources ?? {})) {
      paths[id] = resource.Metadata?.['aws:cdk:path'] ?? '';
    }
  }
  Object.assign(formatter.logicalToPathMap, paths);
  const rows = (table) => formatter.deepSubstituteBracedLogicalIds(table.slice(1));

  const resources = [];
  diff.resources.forEachDifference((id, change) => {
    const properties = [];
    for (const [name, difference] of Object.entries(change.propertyUpdates)) {
      if (/REPLACE/.test(difference.changeImpact)) properties.push(name);
    }
    resources.push({ id, path: paths[id], type: change.newResourceType ?? change.oldResourceType, impact: change.changeImpact, properties });
  });
  const { iamChanges: iam, securityGroupChanges: groups } = diff;
  return {
    text: diff.isEmpty ? '' : written((stream) => lib.formatDifferences(stream, diff, { ...paths })),
    changes: diff.differenceCount,
    resources,
    broadened: { iam: iam.permissionsBroadened, securityGroups: groups.rulesAdded },
    statements: rows(iam.summarizeStatements()),
    managedPolicies: rows(iam.summarizeManagedPolicies()),
    securityGroups: rows(groups.summarize()),
  };
};

const pairs = JSON.parse(fs.readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(pairs.map(compare)));
