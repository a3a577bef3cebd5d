export const DEVICE_CHOICES = ['auto', 'cpu', 'webgpu', 'cuda', 'tensorflow'] as const;
export type DeviceChoice = (typeof DEVICE_CHOICES)[number];

/** Something that networks can run on, or the reason why they cannot. */
export interface DeviceReport {
  readonly id: string;
  readonly description: string;
  readonly memoryBytes?: number;
  readonly unavailable?: string;
  /** Milliseconds of a training step of the calibration network, where it was measured. */
  readonly stepMs?: number;
}

/** Environment variables by which the extension tells its engine process what the settings say. */
export const DEVICE_VARIABLE = 'SCALPEL_DEVICE';
/** Folder whose node_modules may hold TensorFlow. */
export const TENSORFLOW_VARIABLE = 'SCALPEL_TENSORFLOW';
