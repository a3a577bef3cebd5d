import type { BlockTermChoice, LayerRanks, RankCandidate, ShapeCost } from '../../engine/contract/decomposition';
import { formatCount, formatPercent } from '../../engine/contract/format';
import { formatRatio } from '../../engine/contract/rankChoices';
import { type Figure, element, figures } from '../shared/elements';
import { millisecondsText, modesText, ranksText, shapeOf, styleOf } from './forms';
import { isSlower } from './tradeOffChart';

/** What is known of the form that is looked at: its cost always, its error and time once it was fitted. */
export interface Looked {
  readonly choice?: BlockTermChoice;
  readonly candidate?: RankCandidate;
  readonly cost?: ShapeCost;
  /** Of the plan's own fit, which takes more effort than that of a candidate. */
  readonly error?: number;
}

/** The numbers of a choice and, in words, what gets worse by it. */
export function drawFacts(
  host: HTMLElement,
  ranks: LayerRanks | undefined,
  { choice, candidate, cost, error = candidate?.error }: Looked,
): void {
  const form = candidate ? styleOf(candidate.form).name : 'Own shape';
  const shape = candidate && ranks ? shapeOf(ranks, candidate) : choice;
  const blocks = shape && shape.blocks > 1 ? `, ${shape.blocks} blocks` : '';
  const title = element('p', 'choice-title', shape ? `${form}: ${modesText(shape)}, rank ${ranksText(shape.ranks)}${blocks}` : '');
  const parameters = cost?.parameters ?? candidate?.parameters ?? 0;
  const dense = cost?.denseParameters ?? ranks?.denseParameters ?? 0;
  const macs = cost?.macs ?? candidate?.macs ?? 0;
  const denseMacs = cost?.denseMacs ?? ranks?.denseMacs ?? 0;
  const shown: Figure[] = [
    { id: 'choice-parameters', name: 'Parameters', value: formatCount(parameters), detail: `of ${formatCount(dense)}` },
    { id: 'choice-ratio', name: 'Fewer by', value: `${formatRatio(dense / parameters)}×`, detail: formatPercent(parameters / dense) },
    { id: 'choice-macs', name: 'MACs', value: formatCount(macs), detail: `of ${formatCount(denseMacs)}` },
    {
      id: 'choice-time',
      name: 'Time',
      value: candidate ? millisecondsText(candidate.milliseconds) : '–',
      detail: candidate && ranks ? `dense ${millisecondsText(ranks.denseMilliseconds)}` : 'not measured',
    },
    {
      id: 'choice-error',
      name: 'Relative error',
      value: error === undefined ? '–' : formatPercent(error),
      detail: error === undefined ? 'not fitted' : `keeps ${formatPercent(1 - error ** 2, 0)} of the energy`,
    },
  ];
  const warnings = element('ul', 'warnings');
  warnings.append(...costs(ranks, candidate, error, macs / denseMacs, parameters / dense).map((text) => element('li', '', text)));
  host.replaceChildren(title, figures(shown, 'small'), warnings);
}

/** What a person should know before the form is applied. */
function costs(
  ranks: LayerRanks | undefined,
  candidate: RankCandidate | undefined,
  error: number | undefined,
  macs: number,
  parameters: number,
): string[] {
  const told: string[] = [];
  if (parameters >= 1) told.push('It has more parameters than the dense layer: nothing is saved.');
  if (ranks && candidate && isSlower(ranks, candidate))
    told.push(
      `The layer gets slower, not faster: ${millisecondsText(candidate.milliseconds)} in place of ${millisecondsText(ranks.denseMilliseconds)} for a batch of ${ranks.batch}, measured on this machine${macs < 1 ? ', although it has fewer MACs' : ''}.`,
    );
  else if (macs > 1) told.push(`It takes ${formatRatio(macs)} times the MACs of the dense layer.`);
  if (error !== undefined && error > 0.3)
    told.push(`It keeps ${formatPercent(1 - error ** 2, 0)} of the weight’s energy: expect the network to be wrong until it is tuned.`);
  return told;
}
