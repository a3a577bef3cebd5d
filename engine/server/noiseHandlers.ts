import type { NoiseRequests } from '../contract/noise';
import type { Handlers } from './handlers';
import { featureMaps } from './operations/featureMaps';

/** Handlers of the requests on noise while training. */
export const noiseHandlers = (): Pick<Handlers, keyof NoiseRequests> => ({
  'noise/featureMaps': ({ path, ...options }) => featureMaps(path, options),
});
