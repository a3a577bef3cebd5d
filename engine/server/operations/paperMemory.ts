import type { PaperReport } from '../../contract/memory';
import { SurgeryError } from '../../graph/errors';
import { PAPER_NETWORKS } from '../../memory/paper/network';
import { analysePaperNetwork } from '../../memory/paper/techniques';

/** The paper's own networks under its own cost model. */
export function paperMemory(name: string, batch: number): PaperReport {
  const network = PAPER_NETWORKS[name];
  if (!network)
    throw new SurgeryError(
      'option-invalid',
      `--paper ${name} is not a network of the paper; choose ${Object.keys(PAPER_NETWORKS).join(', ')}`,
    );
  return analysePaperNetwork(network(batch));
}
