import { openRuntime } from '../../../engine/runtime/onnxruntime/openRuntime';
import { checkGradients, gradientCases } from '../../support/gradientCases';

describe("gradients against PyTorch's", () => {
  const runtime = openRuntime();
  for (const [index, c] of gradientCases.entries()) it(`${c.name} (${index})`, () => checkGradients(runtime, c));
});
