import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import {
  AbstractMessageReader,
  AbstractMessageWriter,
  type Disposable,
  Emitter,
  type Message,
  type MessageConnection,
  ResponseError,
  createMessageConnection,
} from 'vscode-jsonrpc/node';
import type { PageContract, PageRequest } from '../engine/contract/page';
import { DisposableStore } from './disposables';
import { EngineError } from './engineClient';

/** One function for every request of a page's contract. */
export type PageHandlers<C extends PageContract> = {
  readonly [M in keyof C['requests']]: (
    params: PageRequest<C, M>['params'],
  ) => PageRequest<C, M>['result'] | Promise<PageRequest<C, M>['result']>;
};

export interface PageOptions<C extends PageContract> {
  /** Folder of the page in webview/; its bundle and styles are dist/webview/NAME.js and .css. */
  readonly name: string;
  readonly title: string;
  readonly extension: vscode.Uri;
  readonly handlers: PageHandlers<C>;
  /** The page's script listens now: at its start and again whenever it was hidden and is made anew. Send what it shows. */
  onReady(page: WebviewPage<C>): void;
}

const APPLICATION_ERROR = -32000;

/** A page shown in a webview panel: its HTML, its content policy and JSON-RPC over `postMessage`. It goes with its panel. */
export class WebviewPage<C extends PageContract> implements vscode.Disposable {
  private readonly store = new DisposableStore();
  private readonly connection: MessageConnection;

  constructor(
    readonly panel: vscode.WebviewPanel,
    options: PageOptions<C>,
  ) {
    const { webview } = panel;
    const assets = vscode.Uri.joinPath(options.extension, 'dist', 'webview');
    webview.options = { enableScripts: true, localResourceRoots: [assets] };
    this.connection = this.store.add(connect(webview, this.store));
    for (const [method, handler] of Object.entries<(params: never) => unknown>(options.handlers))
      this.connection.onRequest(method, (params: unknown) => answer(() => handler(params as never)));
    this.connection.onNotification('ready', () => options.onReady(this));
    this.connection.listen();
    this.store.add(panel.onDidDispose(() => this.dispose()));
    webview.html = html(webview, assets, options);
  }

  /** Opens the page in a panel of its own. */
  static open<C extends PageContract>(options: PageOptions<C>, column: vscode.ViewColumn = vscode.ViewColumn.Active): WebviewPage<C> {
    const panel = vscode.window.createWebviewPanel(`scalpel.${options.name}`, options.title, column, { retainContextWhenHidden: true });
    return new WebviewPage(panel, options);
  }

  /** Disposed with the page. */
  own<T extends vscode.Disposable>(disposable: T): T {
    return this.store.add(disposable);
  }

  send<E extends keyof C['events'] & string>(event: E, params: C['events'][E]): void {
    void this.connection.sendNotification(event, params);
  }

  dispose(): void {
    this.store.dispose();
  }
}

function connect(webview: vscode.Webview, store: DisposableStore): MessageConnection {
  const received = new Emitter<Message>();
  class Reader extends AbstractMessageReader {
    listen(callback: (message: Message) => void): Disposable {
      return received.event(callback);
    }
  }
  class Writer extends AbstractMessageWriter {
    async write(message: Message): Promise<void> {
      await webview.postMessage(message);
    }

    end(): void {
      received.dispose();
    }
  }
  store.add(webview.onDidReceiveMessage((message: Message) => void received.fire(message)));
  return createMessageConnection(new Reader(), new Writer());
}

async function answer(handler: () => unknown): Promise<unknown> {
  try {
    return (await handler()) ?? null;
  } catch (error) {
    const data = { code: error instanceof EngineError ? error.code : 'internal' };
    throw new ResponseError(APPLICATION_ERROR, error instanceof Error ? error.message : String(error), data);
  }
}

function html(webview: vscode.Webview, assets: vscode.Uri, { name, title }: { name: string; title: string }): string {
  const nonce = randomBytes(16).toString('base64');
  const uri = (file: string): string => webview.asWebviewUri(vscode.Uri.joinPath(assets, file)).toString();
  const policy = [
    "default-src 'none'",
    `style-src ${webview.cspSource} 'unsafe-inline'`,
    `script-src 'nonce-${nonce}'`,
    `font-src ${webview.cspSource}`,
    `img-src ${webview.cspSource} data:`,
  ];
  const safeTitle = title.replace(/[<>&"]/g, (c) => `&#${c.charCodeAt(0)};`);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy.join('; ')}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="${uri(`${name}.css`)}">
<title>${safeTitle}</title>
</head>
<body><main id="page" aria-busy="true"></main><script nonce="${nonce}" src="${uri(`${name}.js`)}"></script></body>
</html>`;
}
