import type { Attack, AttackResult } from '../contract/robustness';

/** Differences of accuracy below this are taken for chance. */
const CHANCE = 0.005;

/**
 * Signs of gradients that do not tell the truth (Athalye, Carlini and Wagner 2018, section 3.1): an iterative attack that is
 * weaker than one step, random noise that does as much as a step along the gradient, a larger ball that does less.
 */
export function maskedGradients(cleanAccuracy: number, results: readonly AttackResult[]): string[] {
  const warnings: string[] = [];
  const percent = (accuracy: number): string => `${(100 * accuracy).toFixed(2)} %`;
  const at = (attack: Attack, like: AttackResult): AttackResult | undefined =>
    results.find((r) => r.attack === attack && r.norm === like.norm && r.epsilon === like.epsilon);
  for (const fgsm of results.filter((r) => r.attack === 'fgsm')) {
    const place = `at epsilon ${Number(fgsm.epsilon.toPrecision(4))} (${fgsm.norm})`;
    for (const attack of ['ifgsm', 'pgd'] as const) {
      const iterative = at(attack, fgsm);
      if (iterative && iterative.accuracy > fgsm.accuracy + CHANCE)
        warnings.push(
          `${attack} leaves ${percent(iterative.accuracy)} correct ${place}, the single step of fgsm only ${percent(fgsm.accuracy)}: the gradients look masked, or there are too few steps`,
        );
    }
    const random = at('random', fgsm);
    if (random && cleanAccuracy - random.accuracy > CHANCE && random.accuracy <= fgsm.accuracy)
      warnings.push(
        `Random noise leaves ${percent(random.accuracy)} correct ${place}, fgsm ${percent(fgsm.accuracy)}: the gradients look masked`,
      );
  }
  for (const result of results) {
    const larger = results.find((r) => r.attack === result.attack && r.norm === result.norm && r.epsilon > result.epsilon);
    if (larger && result.attack !== 'random' && result.attack !== 'fgsm' && larger.accuracy > result.accuracy + CHANCE)
      warnings.push(
        `${result.attack} leaves more correct at epsilon ${larger.epsilon} (${percent(larger.accuracy)}) than at ${result.epsilon} (${percent(result.accuracy)}): the gradients look masked, or there are too few steps`,
      );
  }
  return warnings;
}
