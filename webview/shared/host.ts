import { BrowserMessageReader, BrowserMessageWriter, ResponseError, createMessageConnection } from 'vscode-jsonrpc/browser';
import type { PageContract, PageRequest } from '../../engine/contract/page';

declare function acquireVsCodeApi(): { postMessage(message: unknown): void; getState(): unknown; setState(state: unknown): void };

/** The extension host as a page sees it. */
export interface Host<C extends PageContract> {
  request<M extends keyof C['requests'] & string>(method: M, params: PageRequest<C, M>['params']): Promise<PageRequest<C, M>['result']>;
  on<E extends keyof C['events'] & string>(event: E, listener: (params: C['events'][E]) => void): void;
  /** Call it when every listener is there; the host then sends what the page shows. */
  ready(): void;
  /** Kept while the page is hidden or moved. */
  state: unknown;
}

/** Connects this page to its host. Call it once. */
export function connectHost<C extends PageContract>(): Host<C> {
  const api = acquireVsCodeApi();
  const port = {
    onmessage: undefined as ((event: MessageEvent) => void) | undefined,
    addEventListener: () => undefined,
    postMessage: (message: unknown) => api.postMessage(message),
  };
  window.addEventListener('message', (event) => port.onmessage?.(event));
  const endpoint = port as unknown as MessagePort;
  const connection = createMessageConnection(new BrowserMessageReader(endpoint), new BrowserMessageWriter(endpoint));
  connection.listen();
  return {
    request: (method, params) => connection.sendRequest(method, params),
    on: (event, listener) => void connection.onNotification(event, listener),
    ready: () => void connection.sendNotification('ready'),
    get state() {
      return api.getState();
    },
    set state(value) {
      api.setState(value);
    },
  };
}

/** Code of a failed request, from the closed list of the contract. */
export const codeOf = (error: unknown): string =>
  error instanceof ResponseError ? ((error.data as { code?: string } | undefined)?.code ?? 'internal') : 'internal';

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
