import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** Data flows one way: a folder imports only from itself and from those before it. */
const ENGINE_ORDER = [
  'contract',
  'graph',
  'ops',
  'formats',
  'datasets',
  'autodiff',
  'memory',
  'runtime',
  'training',
  'pruning',
  'decomposition',
  'architectures',
  'robustness',
  'surgery',
  'server',
  'cli',
];

const VSCODE = { name: 'vscode', message: 'Only extension/ imports vscode' };
const forbid = (folders, message) => ({ group: folders.map((folder) => `**/${folder}/**`), message });
const outside = forbid(['extension', 'webview', 'test'], 'The engine imports nothing from the editor or the tests');
const onlyContract = forbid(
  ENGINE_ORDER.slice(1).map((folder) => `engine/${folder}`),
  'Outside of the engine only its contract is known',
);

/** Rules of one folder: which imports it may not have. */
const restrict = (folder, ...patterns) => ({
  files: [`${folder}/**/*.ts`],
  rules: { 'no-restricted-imports': ['error', { paths: folder.startsWith('extension') ? [] : [VSCODE], patterns }] },
});

const engineRules = ENGINE_ORDER.map((folder, i) => {
  const later = ENGINE_ORDER.slice(i + 1).map((name) => `../${name}`);
  const earlier = folder === 'contract' ? ENGINE_ORDER.slice(1).map((name) => `../${name}`) : [];
  const names = [...new Set([...later, ...earlier])];
  const ordered = names.length > 0 ? [forbid(names, `engine/${folder} comes before it in the order of the engine's folders`)] : [];
  return restrict(`engine/${folder}`, outside, ...ordered);
});

export default tseslint.config(
  {
    ignores: [
      'dist/',
      'out/',
      'node_modules/',
      '**/*_pb.ts',
      'test/workbench/',
      '**/*.mjs',
      '**/*.cjs',
      'test/fixtures/',
      'extension/source/templates/',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      'max-lines': ['error', { max: 600, skipBlankLines: true, skipComments: true }],
    },
  },
  ...engineRules,
  restrict('webview', onlyContract, forbid(['extension'], 'Pages know the contract only'), {
    group: ['node:*'],
    message: 'Pages run in a browser',
  }),
  restrict('extension', onlyContract, forbid(['webview'], 'Pages are reached by messages')),
  {
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
    },
  },
  prettier,
);
