import importX from 'eslint-plugin-import-x';
import prettier from 'eslint-config-prettier';
import tseslint from 'typescript-eslint';

/** Data flows one way: a folder imports only from itself and from those before it. */
const ENGINE_ORDER = [
  'contract',
  'graph',
  'ops',
  'formats',
  'datasets',
  'architectures',
  'autodiff',
  'memory',
  'runtime',
  'training',
  'pruning',
  'decomposition',
  'robustness',
  'surgery',
  'server',
  'cli',
];

const engineZones = ENGINE_ORDER.map((folder, i) => ({
  target: `./engine/${folder}`,
  from: ENGINE_ORDER.slice(i + 1).map((later) => `./engine/${later}`),
  message: `engine/${folder} comes before it in the order of DESIGN section 2`,
})).filter((zone) => zone.from.length > 0);

const zones = [
  ...engineZones,
  { target: './engine/contract', from: ENGINE_ORDER.slice(1).map((folder) => `./engine/${folder}`), message: 'The contract imports nothing' },
  { target: './engine', from: ['./extension', './webview', './test'], message: 'The engine imports nothing from the editor' },
  { target: './webview', from: ENGINE_ORDER.slice(1).map((folder) => `./engine/${folder}`), message: 'Pages know the contract only' },
  { target: './webview', from: './extension', message: 'Pages know the contract only' },
  { target: './extension', from: ENGINE_ORDER.slice(1).map((folder) => `./engine/${folder}`), message: 'The extension talks to the engine process' },
];

const onlyIn = (name, message) => ({ paths: [{ name, message }] });

export default tseslint.config(
  { ignores: ['dist/', 'out/', 'node_modules/', '**/*_pb.ts', 'test/workbench/', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { 'import-x': importX },
    settings: { 'import-x/resolver': { typescript: true } },
    rules: {
      'import-x/no-restricted-paths': ['error', { zones }],
      'no-restricted-imports': ['error', onlyIn('vscode', 'Only extension/ imports vscode')],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true, ignoreVoidReturningFunctions: true }],
      'max-lines': ['error', { max: 600, skipBlankLines: true, skipComments: true }],
    },
  },
  { files: ['extension/**/*.ts'], rules: { 'no-restricted-imports': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': 'error', '@typescript-eslint/no-non-null-assertion': 'off', '@typescript-eslint/no-unnecessary-type-parameters': 'off' },
  },
  prettier,
);
