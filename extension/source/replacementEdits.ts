import { group } from 'd3';
import { type Wanted, directEdits } from './channelEdits';
import type { Match } from './matchModel';
import type { SourceLayer, TextEdit } from './sourceModel';

/**
 * Replaces layers after they were made, by assignments at the end of the network's constructor or of the function that returns it:
 * `self.layer1[0].conv1 = nn.Conv2d(16, 9, 3)`. Layers that one call of the source makes alone are still rewritten in place.
 * @returns undefined for other frameworks, or when an argument of a layer is not known
 */
export function replacementEdits(match: Match, wanted: readonly Wanted[]): TextEdit[] | undefined {
  const { network } = match;
  if (network.framework !== 'pytorch') return undefined;
  const made = group(network.layers, (l) => l.call.start);
  const isShared = ({ layer }: Wanted): boolean =>
    (made.get(layer.call.start)?.length ?? 0) > 1 || (layer.owner ?? 0) > 0 || network.returned !== undefined;
  const edits = directEdits(wanted.filter((w) => !isShared(w)));
  const changed = [...group(wanted.filter(isShared), (w) => w.layer)].filter(([, slots]) =>
    slots.some(({ slot, count }) => slot.value !== count),
  );
  const lines = changed.map(([layer, slots]) => [layer, constructorOf(layer, slots)] as const);
  const whole = lines.filter((line): line is readonly [SourceLayer, string] => line[1] !== undefined);
  if (!edits || whole.length < lines.length) return undefined;
  if (whole.length === 0) return edits;
  const placed = placeAssignments(match, whole);
  return placed && [...edits, placed];
}

/** Assigns layers by their path after all were made; undefined where the source has no place for it. */
export function placeAssignments(match: Match, layers: readonly (readonly [SourceLayer, string])[]): TextEdit | undefined {
  const variable = match.network.returned ? 'model' : 'self';
  return placement(match)?.(layers.map(([layer, text]) => `${variable}${accessor(layer.path)} = ${text}`));
}

function placement({ network }: Match): ((lines: readonly string[]) => TextEdit) | undefined {
  const { returned } = network;
  if (returned) {
    const { statement, expression, indent } = returned;
    return (lines) => ({
      start: statement.start,
      end: statement.end,
      text: [`model = ${expression}`, ...lines, 'return model'].join(`\n${indent}`),
    });
  }
  const definition = network.classes.get(network.instances[0]?.className ?? '');
  if (!definition) return undefined;
  return (lines) => ({
    start: definition.bodyEnd,
    end: definition.bodyEnd,
    text: lines.map((line) => `\n${definition.indent}${line}`).join(''),
  });
}

/** "layer1.0.conv1" as ".layer1[0].conv1". */
const accessor = (path: string): string =>
  path
    .split('.')
    .map((part) => (/^\d+$/.test(part) ? `[${part}]` : `.${part}`))
    .join('');

/** The layer's constructor with its new counts and with every other argument's value. */
function constructorOf(layer: SourceLayer, wanted: readonly Wanted[]): string | undefined {
  const counts = new Map(wanted.map(({ slot, count }) => [slot.span.start, count]));
  const parts = layer.arguments.map(({ name, span, literal }) => {
    const value = counts.get(span.start) ?? literal;
    return value === undefined ? undefined : `${name === undefined ? '' : `${name}=`}${value}`;
  });
  return parts.includes(undefined) ? undefined : `${layer.callee}(${parts.join(', ')})`;
}
