/** An extension of the end-to-end tests: calls Scalpel's language-model tools as another extension would, and writes the answers down. */
const vscode = require('vscode');

const CALLS = { scalpel_inspect: {}, scalpel_memory: { batch: 8, budgetMiB: 1 } };

exports.activate = (context) =>
  context.subscriptions.push(
    vscode.commands.registerCommand('probe.callTools', async () => {
      const answers = {};
      for (const [name, input] of Object.entries(CALLS)) {
        const { content } = await vscode.lm.invokeTool(name, { input, toolInvocationToken: undefined });
        answers[name] = content.map((part) => part.value).join('');
      }
      const target = vscode.Uri.joinPath(vscode.workspace.workspaceFolders[0].uri, 'tools.json');
      await vscode.workspace.fs.writeFile(target, Buffer.from(JSON.stringify(answers)));
    }),
  );
